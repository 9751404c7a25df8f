package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "proofload/proto/proofload/v1"
)

// screen is a terminal of a size: it wraps what is too wide, scrolls what is too high, and knows the
// control sequences that the tui uses. Columns are characters: the tests with wide ones look at cut.
type screen struct {
	columns, rows int
	lines         []string // scrolled out ones included
	row           int      // of the cursor, in lines
}

// Write implements io.Writer.
func (s *screen) Write(p []byte) (int, error) {
	for rest := string(p); rest != ""; {
		if n, ok := s.control(rest); ok {
			rest = rest[n:]
			continue
		}
		r := []rune(rest)[0]
		rest = rest[len(string(r)):]
		s.put(r)
	}
	return len(p), nil
}

// control obeys a control sequence at the beginning of a text, and returns its length.
func (s *screen) control(text string) (int, bool) {
	var n int
	switch {
	case strings.HasPrefix(text, "\x1b[J"):
		s.lines = s.lines[:min(s.row, len(s.lines))]
		return len("\x1b[J"), true
	case strings.HasPrefix(text, "\x1b["):
		end := strings.IndexAny(text, "Am")
		if text[end] == 'A' {
			if _, err := fmt.Sscanf(text, "\x1b[%dA", &n); err != nil {
				panic(err)
			}
			s.row = max(s.row-n, len(s.lines)+1-s.rows, 0) // not into what has scrolled out
		}
		return end + 1, true
	}
	return 0, false
}

func (s *screen) put(r rune) {
	for len(s.lines) <= s.row {
		s.lines = append(s.lines, "")
	}
	if r == '\n' {
		s.row++
		return
	}
	if len([]rune(s.lines[s.row])) == s.columns {
		s.row++
		s.put(r)
		return
	}
	s.lines[s.row] += string(r)
}

// resize makes the terminal narrower: what was written wraps anew.
func (s *screen) resize(columns int) {
	old := s.lines
	s.columns, s.lines, s.row = columns, nil, 0
	for _, l := range old {
		for _, r := range l + "\n" {
			s.put(r)
		}
	}
}

func liveView(second int) *pb.WatchRunResponse {
	long := strings.Repeat("long ", 30)
	return &pb.WatchRunResponse{
		Run: &pb.Run{
			Id: "R", Name: "wide", State: pb.RunState_RUN_STATE_RUNNING, Scale: 1,
			Elapsed: durationpb.New(time.Duration(second) * time.Second), Planned: durationpb.New(time.Minute),
		},
		Progress: &pb.Progress{
			RunTimeNanos: int64(second) * int64(time.Second), Load: &pb.LoadCounts{Planned: 10, Sent: 10},
			Window: &pb.LiveWindow{EndNanos: int64(second) * int64(time.Second), P50: durationpb.New(5750 * time.Microsecond), P99: durationpb.New(18 * time.Millisecond)},
			Phases: []*pb.PhaseProgress{{Name: "steady", State: "running"}, {Name: long, State: "running"}},
			Criteria: []*pb.CriterionProgress{
				{Name: "first", Result: "PASS", Observed: "1 ms"}, {Name: long, Result: "FAIL", Observed: "2 ms"}, {Name: "last", Result: "PENDING"},
			},
		},
	}
}

// TestTUIRepaints shows that on a terminal of any size the block replaces itself, and that what was
// written above it stays once.
func TestTUIRepaints(t *testing.T) {
	for _, size := range [][2]int{{120, 24}, {80, 24}, {50, 24}, {20, 24}, {80, 6}, {50, 3}, {80, 2}, {80, 1}, {2, 2}} {
		t.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(t *testing.T) {
			s := &screen{columns: size[0], rows: size[1]}
			u := &tui{out: s, ink: true, size: func() (int, int) { return s.columns, s.rows }}
			for second := range 5 {
				u.update(liveView(second))
			}
			u.note("noted")
			u.update(liveView(5))
			if painted := len(u.painted); painted > size[1]-1 {
				t.Errorf("the block has %d lines", painted)
			}
			all := strings.Join(s.lines, "\n")
			if n := strings.Count(all, "="+" "); n > 1 {
				t.Errorf("the block stands there %d times:\n%s", n, all)
			}
			u.close()
			if got, want := strings.Join(s.lines, ""), "wide  run Rnoted"; got != want {
				t.Errorf("what stays is %q, want %q", got, want)
			}
		})
	}
}

func TestTUIAfterResize(t *testing.T) {
	s := &screen{columns: 120, rows: 40}
	u := &tui{out: s, size: func() (int, int) { return s.columns, s.rows }}
	u.update(liveView(1))
	s.resize(50)
	u.update(liveView(2))
	s.resize(120)
	u.update(liveView(3))
	u.close()
	if got, want := strings.Join(s.lines, "|"), "wide  run R"; got != want {
		t.Errorf("what stays is %q, want %q", got, want)
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		text    string
		columns int
		want    string
		takes   int
	}{
		{"short", 10, "short", 5},
		{"exactly 10", 10, "exactly 10", 10},
		{"exactly 11!", 10, "exactly 1…", 10},
		{"日本語", 6, "日本語", 6},
		{"日本語", 5, "日本…", 5},
		{"日本語", 4, "日…", 3},
		{"e\u0301te\u0301", 3, "e\u0301te\u0301", 3},
		{"ab", 1, "…", 1},
		{"", 5, "", 0},
	} {
		if got, takes := cut(c.text, c.columns); got != c.want || takes != c.takes {
			t.Errorf("cut(%q, %d) = %q, %d, want %q, %d", c.text, c.columns, got, takes, c.want, c.takes)
		}
	}
}

// TestTUIIsNotSteered shows that neither names nor what happens can steer the terminal.
func TestTUIIsNotSteered(t *testing.T) {
	var b strings.Builder
	u := &tui{out: &b, size: func() (int, int) { return 80, 24 }}
	m := liveView(1)
	evil := "evil\n\x1b[31mname\u202e"
	m.Run.Name, m.Progress.Phases[0].Name, m.Progress.Criteria[0].Name = evil, evil, evil
	m.Events = []*pb.RunEvent{{Kind: "worker", Detail: evil}}
	u.update(m)
	p := &plainProgress{out: &b}
	m.Run.Reason = evil
	p.update(m)
	if text := b.String(); strings.ContainsAny(text, "\x1b\u202e") || strings.Contains(text, "evil\n") {
		t.Errorf("the terminal is steered by %q", text)
	}
}

// TestColours shows who decides whether colours are used.
func TestColours(t *testing.T) {
	if got := ink(false).paint(toneOf("PASS"), "PASS"); got != "PASS" {
		t.Errorf("painted %q without colours", got)
	}
	if got, want := ink(true).paint(toneOf("FAIL"), "FAIL"), "\x1b[1;31mFAIL\x1b[0m"; got != want {
		t.Errorf("painted %q, want %q", got, want)
	}
	var b strings.Builder
	u := &tui{out: &b, ink: true, size: func() (int, int) { return 80, 24 }}
	u.update(liveView(1))
	for _, want := range []string{"\x1b[1;32mPASS\x1b[0m", "\x1b[1;31mFAIL\x1b[0m", "\x1b[2mPENDING\x1b[0m"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the block has no %q:\n%q", want, b.String())
		}
	}
}
