package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	pb "proofload/proto/proofload/v1"
)

// tui repaints a block of lines at the bottom of the terminal; what happened stays above it. It
// reads no keys: signals stop a run, and a terminal that is piped elsewhere gets plain lines.
type tui struct {
	mu    sync.Mutex
	out   io.Writer
	lines int // of the block as painted last
	known bool
	last  *pb.WatchRunResponse
}

func newTUI(out io.Writer) *tui { return &tui{out: out} }

func (t *tui) note(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.above(text)
}

// above writes a line that stays, and paints the block again below it.
func (t *tui) above(text string) {
	t.erase()
	fmt.Fprintln(t.out, text)
	t.paint()
}

func (t *tui) erase() {
	if t.lines > 0 {
		fmt.Fprintf(t.out, "\x1b[%dA\x1b[J", t.lines)
		t.lines = 0
	}
}

func (t *tui) update(m *pb.WatchRunResponse) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.erase()
	if !t.known {
		t.known = true
		fmt.Fprintf(t.out, "\x1b[1m%s\x1b[0m  run %s\n", m.GetRun().GetName(), m.GetRun().GetId())
	}
	for _, e := range m.GetEvents() {
		fmt.Fprintf(t.out, "\x1b[2m%8s\x1b[0m  %s  %s\n", clockText(time.Duration(e.GetRunTimeNanos())), e.GetKind(), e.GetDetail())
	}
	t.last = m
	t.paint()
}

func (t *tui) paint() {
	if t.last == nil {
		return
	}
	text := t.block(t.last)
	t.lines = strings.Count(text, "\n")
	fmt.Fprint(t.out, text)
}

func (t *tui) block(m *pb.WatchRunResponse) string {
	var b strings.Builder
	r, p := m.GetRun(), m.GetProgress()
	if p == nil {
		fmt.Fprintf(&b, "%s  %s\n", stateName(r.GetState()), r.GetReason())
		return b.String()
	}
	elapsed, planned := r.GetElapsed().AsDuration(), r.GetPlanned().AsDuration()
	fmt.Fprintf(&b, "%s %s  %s of %s", bar(elapsed, planned, 32), stateName(r.GetState()), clockText(elapsed), clockText(planned))
	if s := r.GetScale(); s != 1 {
		fmt.Fprintf(&b, "  scale %.0f%%", s*100)
	}
	b.WriteString("\n" + strings.TrimSpace(progressLine(r, p)) + "\n")
	for _, ph := range p.GetPhases() {
		l := ph.GetLoad()
		fmt.Fprintf(&b, "  %-16s %-8s sent %-9d failed %-6d in flight %d\n", ph.GetName(), ph.GetState(), l.GetSent(), l.GetFailed(), l.GetInFlight())
	}
	for _, c := range p.GetCriteria() {
		fmt.Fprintf(&b, "  %-8s %s  %s\n", c.GetResult(), c.GetName(), c.GetObserved())
	}
	return b.String()
}

// bar draws how much of a whole is done.
func bar(done, whole time.Duration, width int) string {
	n := 0
	if whole > 0 {
		n = int(min(float64(done)/float64(whole), 1) * float64(width))
	}
	return "[" + strings.Repeat("=", max(n, 0)) + strings.Repeat(" ", width-max(n, 0)) + "]"
}

func (t *tui) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.erase()
}
