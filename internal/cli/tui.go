package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/text/width"

	reports "proofload/internal/result/report"
	pb "proofload/proto/proofload/v1"
)

// tui repaints a block of lines at the bottom of the terminal; what happened stays above it. It
// reads no keys: signals stop a run, and a terminal that is piped elsewhere gets plain lines. No line
// of the block is wider and no block is higher than the terminal, so that it can be painted over.
type tui struct {
	mu      sync.Mutex
	out     io.Writer
	size    func() (columns, rows int)
	ink     ink
	painted []int // columns of each line of the block as painted last
	known   bool
	last    *pb.WatchRunResponse
}

func newTUI(out io.Writer, colours bool) *tui {
	return &tui{out: out, ink: ink(colours), size: func() (int, int) { return terminalSize(out) }}
}

// note writes a line that stays, and paints the block again below it.
func (t *tui) note(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.erase()
	fmt.Fprintln(t.out, text)
	t.paint()
}

// erase removes the block. A terminal that has become narrower since has wrapped its lines.
func (t *tui) erase() {
	columns, _ := t.size()
	rows := 0
	for _, w := range t.painted {
		rows += max(1, (w+columns-1)/columns)
	}
	if rows > 0 {
		fmt.Fprintf(t.out, "\x1b[%dA\x1b[J", rows)
	}
	t.painted = t.painted[:0]
}

func (t *tui) update(m *pb.WatchRunResponse) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.erase()
	if !t.known {
		t.known = true
		fmt.Fprintf(t.out, "%s  run %s\n", t.ink.paint(bold, reports.Plain(m.GetRun().GetName())), m.GetRun().GetId())
	}
	for _, e := range m.GetEvents() {
		at := fmt.Sprintf("%8s", clockText(time.Duration(e.GetRunTimeNanos())))
		fmt.Fprintf(t.out, "%s  %s\n", t.ink.paint(faint, at), reports.Plain(because(e.GetKind(), e.GetDetail())))
	}
	t.last = m
	t.paint()
}

func (t *tui) paint() {
	if t.last == nil {
		return
	}
	columns, rows := t.size()
	lines := block(t.last)
	if most := rows - 1; most < 1 {
		return // no room: a line break would scroll it away
	} else if len(lines) > most {
		more := len(lines) - most + 1
		lines = append(lines[:most-1], blockLine{text: fmt.Sprintf("  and %d lines more", more)})
	}
	for _, l := range lines {
		// The last column stays free: some terminals begin the next line as soon as it is written.
		text, w := cut(reports.Plain(l.text), columns-1)
		if l.result != "" {
			text = strings.Replace(text, l.result, t.ink.paint(toneOf(l.result), l.result), 1)
		}
		fmt.Fprintln(t.out, text)
		t.painted = append(t.painted, w)
	}
}

// blockLine is one line of the block; the result in it is coloured.
type blockLine struct{ text, result string }

func block(m *pb.WatchRunResponse) []blockLine {
	r, p := m.GetRun(), m.GetProgress()
	if p == nil {
		return []blockLine{{text: because(stateName(r.GetState()), r.GetReason())}}
	}
	elapsed, planned := r.GetElapsed().AsDuration(), r.GetPlanned().AsDuration()
	head := fmt.Sprintf("%s %s  %s of %s", bar(elapsed, planned, 32), stateName(r.GetState()), clockText(elapsed), clockText(planned))
	if s := r.GetScale(); s != 1 {
		head += fmt.Sprintf("  scale %.0f%%", s*100)
	}
	lines := []blockLine{{text: head}, {text: strings.TrimSpace(progressLine(r, p))}}
	for _, ph := range p.GetPhases() {
		l := ph.GetLoad()
		lines = append(lines, blockLine{text: fmt.Sprintf("  %-16s %-8s sent %-9d failed %-6d in flight %d%s",
			ph.GetName(), ph.GetState(), l.GetSent(), l.GetFailed(), l.GetInFlight(), unsent(l))})
	}
	for _, c := range p.GetCriteria() {
		text := fmt.Sprintf("  %-8s %s  %s", c.GetResult(), c.GetName(), c.GetObserved())
		lines = append(lines, blockLine{text: strings.TrimRight(text, " "), result: c.GetResult()})
	}
	return lines
}

// cut shortens a text to a number of columns, and returns how many it takes.
func cut(text string, columns int) (string, int) {
	columns = max(columns, 1)
	used, end, ends := 0, 0, 0 // end and ends: where the text is cut if it must be, and its columns there
	for i, r := range text {
		w := columnsOf(r)
		if used+w > columns {
			return text[:end] + "…", ends + 1
		}
		used += w
		if used < columns {
			end, ends = i+len(string(r)), used
		}
	}
	return text, used
}

// columnsOf is how many columns of a terminal a character takes.
func columnsOf(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// bar draws how much of a whole is done.
func bar(done, whole time.Duration, width int) string {
	n := 0
	if whole > 0 {
		n = int(max(min(float64(done)/float64(whole), 1), 0) * float64(width))
	}
	return "[" + strings.Repeat("=", n) + strings.Repeat(" ", width-n) + "]"
}

func (t *tui) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.erase()
}
