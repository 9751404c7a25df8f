package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	reports "proofload/internal/result/report"
	"proofload/internal/scenario/quantity"
	pb "proofload/proto/proofload/v1"
)

// progress shows a run while it goes on.
type progress interface {
	update(m *pb.WatchRunResponse)
	note(text string)
	close()
}

// validProgress refuses a kind of progress that there is not.
func validProgress(kind string) error {
	if !slices.Contains([]string{"auto", "tui", "plain", "none"}, kind) {
		return usage("--progress %q: it is auto, tui, plain or none", kind)
	}
	return nil
}

// newProgress chooses how progress is shown.
func (a *app) newProgress(kind string) progress {
	if kind == "none" {
		return silent{}
	}
	if kind == "tui" || kind == "auto" && a.capable(a.stderr) {
		return newTUI(a.stderr, a.colourful(a.stderr))
	}
	return &plainProgress{out: a.stderr}
}

type silent struct{}

func (silent) update(*pb.WatchRunResponse) {}
func (silent) note(string)                 {}
func (silent) close()                      {}

// plainProgress writes a line per event, one per second of run time that has been told of, and the totals at the end.
type plainProgress struct {
	mu     sync.Mutex
	out    io.Writer
	shown  time.Duration // what the line that was written last was about
	state  pb.RunState
	reason string
	known  bool
	over   bool // the totals are written
}

func (p *plainProgress) note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintln(p.out, text)
}

func (p *plainProgress) close() {}

func (p *plainProgress) update(m *pb.WatchRunResponse) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := m.GetRun()
	if !p.known {
		fmt.Fprintf(p.out, "run %s  %s\n", r.GetId(), reports.Plain(r.GetName()))
		p.known = true
	}
	if r.GetState() != p.state || r.GetReason() != p.reason {
		p.state, p.reason = r.GetState(), r.GetReason()
		fmt.Fprintln(p.out, reports.Plain(because(stateName(p.state), p.reason)))
	}
	for _, e := range m.GetEvents() {
		if e.GetKind() != "state" {
			fmt.Fprintf(p.out, "%8s  %s\n", clockText(time.Duration(e.GetRunTimeNanos())), reports.Plain(because(e.GetKind(), e.GetDetail())))
		}
	}
	pr := m.GetProgress()
	if pr == nil || p.over {
		return
	}
	// A line comes with the numbers of its second and not with the second: an event that falls into one of
	// which no worker has told yet would repeat the line before. What ended since the last line is in none.
	at := told(pr)
	if p.over = final(r.GetState()); p.over || at > p.shown {
		p.shown = at
		fmt.Fprintln(p.out, reports.Plain(progressLine(r, pr)))
	}
}

// progressLine is the state of the load on one line; of a run that is over, what became of it.
func progressLine(r *pb.Run, p *pb.Progress) string {
	w, l := p.GetWindow(), p.GetLoad()
	at := clockText(told(p))
	if final(r.GetState()) {
		at = clockText(time.Duration(p.GetRunTimeNanos()))
		return fmt.Sprintf("%8s  sent %d of %d  succeeded %d  failed %d%s", at, l.GetSent(), l.GetPlanned(), l.GetSucceeded(), l.GetFailed(), unsent(l))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%8s  %7.1f req/s  p50 %s  p99 %s  errors %.2f %%  in flight %d  sent %d of %d%s",
		at, w.GetRequestsPerSecond(), latency(w.GetP50().AsDuration()), latency(w.GetP99().AsDuration()),
		w.GetErrorRatio()*100, l.GetInFlight(), l.GetSent(), l.GetPlanned(), unsent(l))
	if v := p.GetValidity(); v != "" && v != "VALID" {
		fmt.Fprintf(&b, "  %s: %s", v, strings.Join(p.GetValidityCauses(), ", "))
	}
	if r.GetProvisionalSince() != nil {
		fmt.Fprintf(&b, "  (provisional since %s)", r.GetProvisionalSince().AsTime().Format("15:04:05"))
	}
	return b.String()
}

// told is the whole second through which a live view tells. The last one of a run is told before its end.
func told(p *pb.Progress) time.Duration {
	return time.Duration(min(p.GetWindow().GetEndNanos(), p.GetRunTimeNanos())).Truncate(time.Second)
}

// unsent tells of requests that never left, if there are any: they are neither sent nor errors.
func unsent(l *pb.LoadCounts) string {
	if l.GetUnsent() == 0 {
		return ""
	}
	return fmt.Sprintf("  unsent requests %d", l.GetUnsent())
}

func stateName(s pb.RunState) string { return strings.TrimPrefix(s.String(), "RUN_STATE_") }

// clockText is a run time in minutes and whole seconds; fractions are for reports. What comes before
// the load starts has the time of its start.
func clockText(d time.Duration) string {
	d = max(d, 0)
	return fmt.Sprintf("%d:%02d", d/time.Minute, d%time.Minute/time.Second)
}

// latency is a percentile as reports write it; there is none without samples.
func latency(d time.Duration) string {
	if d <= 0 {
		return "-"
	}
	return quantity.Measured(d.Seconds())
}
