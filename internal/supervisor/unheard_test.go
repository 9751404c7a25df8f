package supervisor

import (
	"slices"
	"strings"
	"testing"
	"time"

	"proofload/internal/load/schedule"
	"proofload/internal/metric"
	"proofload/internal/result/report"
	"proofload/internal/run"
	"proofload/internal/wire"
)

// cutOff has nothing pass between a robot and its leader any more. It fires on for as long as it has a lease.
func cutOff(w *robot) {
	w.mu.Lock()
	w.cut = true
	w.mu.Unlock()
}

// dieCutOff ends a robot that is cut off. Its leader has not heard of it since that.
func dieCutOff(w *robot) {
	w.mu.Lock()
	heard := w.lastHeard
	w.mu.Unlock()
	w.die(false)
	w.mu.Lock()
	w.heard = heard
	w.mu.Unlock()
}

// unheard checks that what a robot fired and took with it is among the unknown arrivals, and that those are no more
// than it may have fired, at so many a second.
func unheard(t *testing.T, r *rig, w *robot, d *report.Document, most int64) (lost tally) {
	t.Helper()
	head, err := r.manager.opts.Repository.Load(t.Context(), "r1")
	if err != nil {
		t.Fatal(err)
	}
	lost = w.lost(head.Marks.Map()[sourceOf(w.member())])
	accounted(t, d, d.Load.Planned)
	fired, doubled := r.fleet.books.so()
	if doubled != "" || d.Load.Sent != int64(fired)-lost.sent {
		t.Errorf("%d fired, %d of them lost, %d sent; %s", fired, lost.sent, d.Load.Sent, doubled)
	}
	if d.Load.Unknown < lost.sent || d.Load.Unknown > most {
		t.Errorf("%d unknown, %d were fired and lost, the last one at %v", d.Load.Unknown, lost.sent, lost.last)
	}
	g := d.Integrity.Gaps
	if len(g) != 1 || g[0].Worker != w.name || g[0].FromS > lost.first.Seconds() || g[0].ToS < lost.last.Seconds() {
		t.Errorf("what is lost was due from %v to %v, gaps %+v", lost.first, lost.last, g)
	}
	for _, p := range d.Timeline.Points {
		if p.AtS > d.Run.ElapsedS {
			t.Errorf("second %v has %d planned, the load ended at %v s", p.AtS, p.Planned, d.Run.ElapsedS)
		}
	}
	return lost
}

// TestStopThatALostWorkerNeverHeard: what a worker fires after a stop of which it has not heard, and takes with it when
// it dies, is unknown; of one that had said that it has stopped, only what came before is.
func TestStopThatALostWorkerNeverHeard(t *testing.T) {
	for name, row := range map[string]struct {
		hears      bool
		stop       time.Duration // how long after the cut the run is stopped
		from, most int64
	}{
		"cut off before the stop":  {false, 500 * time.Millisecond, 80, 215}, // fires to 5 s and some, is given up by 7 s and some
		"has said that it stopped": {true, 0, 20, 45},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, shop, func(r *rig) {
				r.fleet.join("a", 10)
				b := r.fleet.join("b", 11)
				b.mu.Lock()
				b.slow = time.Second // what is in flight keeps it from closing its books
				b.mu.Unlock()
				r.create("r1", 0)
				r.load("r1", 3500*time.Millisecond)
				if !row.hears {
					cutOff(b)
				}
				time.Sleep(row.stop)
				rec := r.must("r1", run.Event{Kind: run.StopRequested, ID: "s", Stop: run.StopOperator, Reason: "enough"})
				if row.hears {
					time.Sleep(100 * time.Millisecond)
					cutOff(b)
				} else {
					time.Sleep(2 * time.Second)
				}
				dieCutOff(b)
				ended, d := r.ended2("r1")
				lost := unheard(t, r, b, d, row.most)
				if lost.sent < row.from || lost.last > rec.Stop.At == row.hears {
					t.Errorf("%d lost, the last one at %v, the stop was at %v", lost.sent, lost.last, rec.Stop.At)
				}
				if ended.Verdict.Result != run.Aborted || ended.Stop.At > rec.Stop.At+50*time.Millisecond {
					t.Errorf("%+v, stopped at %v, recorded at %v", ended.Verdict, ended.Stop.At, rec.Stop.At)
				}
			})
		})
	}
}

// TestUnheardStopOfAnEarlierTerm: a leader that finds a run stopped, or hears of its stop before it knows the run time, knows
// no better up to when lost workers may have fired than the workers that are there, and with none there than by the time
// that has passed, whatever its wall clock says.
func TestUnheardStopOfAnEarlierTerm(t *testing.T) {
	for name, row := range map[string]struct {
		recorded, alone bool
		outage          bool // nothing could be recorded for the last seconds of the earlier term
		behind          time.Duration
	}{
		"recorded":                         {recorded: true, behind: time.Hour},
		"recorded, and nobody comes back":  {recorded: true, alone: true},
		"recorded, nobody, an hour behind": {recorded: true, alone: true, behind: time.Hour},
		"not recorded":                     {behind: time.Hour},
		"after an outage of the store":     {outage: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, strings.Replace(shop, "for: 10s", "for: 30s", 1), func(r *rig) {
				a, b := r.fleet.join("a", 10), r.fleet.join("b", 11)
				r.create("r1", 0)
				r.load("r1", 3400*time.Millisecond)
				if row.outage {
					r.disk.fill(true)
					time.Sleep(8 * time.Second)
				}
				cutOff(b)
				if row.recorded {
					r.must("r1", run.Event{Kind: run.StopRequested, ID: "s", Stop: run.StopOperator, Reason: "enough"})
					time.Sleep(500 * time.Millisecond) // what a did is committed
				} else {
					a.halt(wire.Halt{Run: "r1", Kind: run.StopOperator, Reason: "enough", Order: wire.Order{Request: "q", AskedOf: "c2", Asked: time.Now()}})
				}
				r.term.end()
				r.cancel()
				<-r.ended
				if row.alone {
					cutOff(a)
				}
				time.Sleep(time.Second)
				dieCutOff(b)
				r.disk.fill(false)
				r.behind = row.behind
				r.elect(2)
				r.fleet.reattach()
				rec, d := r.ended2("r1")
				if rec.Stop.Kind != run.StopOperator {
					t.Errorf("stop %+v", rec.Stop)
				}
				lost := unheard(t, r, b, d, 50*14)
				if lost.last < rec.Stop.At+200*time.Millisecond {
					t.Errorf("%d lost, the last one at %v, the stop was at %v", lost.sent, lost.last, rec.Stop.At)
				}
			})
		})
	}
}

// TestRunTimeOfOneThatHasGone: what a worker has told a new leader of the run time is so when it has gone again, before
// the others could be asked.
func TestRunTimeOfOneThatHasGone(t *testing.T) {
	bubble(t, strings.Replace(shop, "for: 10s", "for: 30s", 1), func(r *rig) {
		a, b := r.fleet.join("a", 10), r.fleet.join("b", 11)
		r.create("r1", 0)
		r.load("r1", 3400*time.Millisecond)
		cutOff(a)
		r.disk.fill(true)
		time.Sleep(8 * time.Second) // the record is of long before
		r.term.end()
		r.cancel()
		<-r.ended
		r.disk.fill(false)
		r.elect(2)
		r.fleet.reattach()
		time.Sleep(700 * time.Millisecond) // it has a lease of this term
		cutOff(b)
		time.Sleep(3 * time.Second)
		dieCutOff(b)
		dieCutOff(a)
		rec, d := r.ended2("r1")
		if rec.Stop.Kind != run.StopWorkerLoss {
			t.Errorf("stop %+v", rec.Stop)
		}
		head, err := r.manager.opts.Repository.Load(t.Context(), "r1")
		if err != nil {
			t.Fatal(err)
		}
		lost := b.lost(head.Marks.Map()[sourceOf(b.member())])
		i := slices.IndexFunc(d.Integrity.Gaps, func(g report.Gap) bool { return g.Worker == "b" })
		if lost.last < 13*time.Second || i < 0 || d.Integrity.Gaps[i].ToS < lost.last.Seconds() || d.Load.Unknown < lost.sent {
			t.Errorf("%d lost, the last one due at %v, %d unknown, gaps %+v", lost.sent, lost.last, d.Load.Unknown, d.Integrity.Gaps)
		}
	})
}

// TestStretches: what a loss leaves open, part by part.
func TestStretches(t *testing.T) {
	const s = time.Second
	who := run.Member{Worker: "b", Incarnation: 11}
	type stretch = [2]time.Duration
	for name, row := range map[string]struct {
		given         run.Range
		until         time.Duration // the heirs' begin
		stopped       time.Duration
		closed        bool
		unknown, lost stretch // empty: none
	}{
		"the load ends before it is given up":   {unknown: stretch{3 * s, 6 * s}},
		"the load ends before the heirs begin":  {until: 7 * s, unknown: stretch{3 * s, 6 * s}},
		"the heirs begin, then it is given up":  {until: 5 * s, unknown: stretch{3 * s, 5 * s}},
		"it has said when it stopped":           {stopped: 4 * s, unknown: stretch{3 * s, 4*s + 1}, lost: stretch{4*s + 1, 5 * s}},
		"it has stopped before what it told":    {stopped: 2 * s, lost: stretch{3 * s, 5 * s}},
		"it has told all":                       {closed: true, lost: stretch{3 * s, 5 * s}},
		"it was to hand over":                   {given: run.Range{Until: 4 * s}, unknown: stretch{3 * s, 4 * s}},
		"it took over what was due just before": {given: run.Range{Since: 2 * s}, unknown: stretch{3*s - 50*time.Millisecond, 6 * s}},
		"it took over what is due later":        {given: run.Range{Since: 4 * s}, unknown: stretch{4 * s, 6 * s}},
	} {
		t.Run(name, func(t *testing.T) {
			a := account{end: 5 * s, closed: map[metric.Source]bool{sourceOf(who): row.closed}, stopped: map[metric.Source]time.Duration{}}
			if row.stopped > 0 {
				a.stopped[sourceOf(who)] = row.stopped
			}
			row.given.To = 8
			unknown, lost := a.stretches(loss{member: who, ranges: []run.Range{row.given}, at: 6 * s, until: row.until}, &metric.Part{To: 3 * s}, 50*time.Millisecond)
			for _, c := range []struct {
				what string
				got  []schedule.Range
				want stretch
			}{{"unknown", unknown, row.unknown}, {"lost", lost, row.lost}} {
				var want []schedule.Range
				if c.want != (stretch{}) {
					want = []schedule.Range{{To: 8, Since: c.want[0], Until: c.want[1]}}
				}
				if !slices.Equal(c.got, want) {
					t.Errorf("%s is %v, want %v", c.what, c.got, want)
				}
			}
		})
	}
}
