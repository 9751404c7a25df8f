package supervisor

import (
	"strings"
	"testing"
	"time"

	"proofload/internal/metric"
	"proofload/internal/run"
	"proofload/internal/wire"
)

// TestDiskFull: while nothing can be committed nothing is acknowledged, one line says so, and when
// there is room again nothing is lost.
func TestDiskFull(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		w := r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 3500*time.Millisecond)
		r.disk.fill(true)
		time.Sleep(3 * time.Second)
		w.mu.Lock()
		acked := w.acked
		w.mu.Unlock()
		if acked > 4 {
			t.Errorf("batch %d acknowledged on a full disk", acked)
		}
		if v, err := r.manager.Live("r1"); err != nil || v.ProvisionalSince.IsZero() {
			t.Errorf("the view does not say that it is provisional: %v, %v", v.ProvisionalSince, err)
		}
		r.disk.fill(false)
		rec, d := r.ended2("r1")
		if d.Load.Sent != 1000 || d.Integrity.Completeness != 1 || rec.Verdict.Result != run.Pass {
			t.Errorf("%d sent, %+v, %+v", d.Load.Sent, d.Integrity, rec.Verdict)
		}
		if n := strings.Count(r.log.String(), "nothing can be committed"); n != 1 {
			t.Errorf("%d lines about it:\n%s", n, r.log.String())
		}
		if n := strings.Count(r.log.String(), "no space left in the store"); n != 1 {
			t.Errorf("what it is, is said %d times", n)
		}
	})
}

// TestStoreOutage: for the 30 s in which the store does not answer nothing is acknowledged, the view says
// since when, and the load goes on; afterwards everything is counted, once.
func TestStoreOutage(t *testing.T) {
	bubble(t, strings.Replace(shop, "for: 10s}", "for: 40s}", 1), func(r *rig) {
		w := r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 3500*time.Millisecond)
		acked := func() uint64 {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.acked
		}
		r.disk.lose(true)
		lost, before := time.Now(), acked()
		var since time.Time
		for time.Since(lost) < 30*time.Second {
			time.Sleep(time.Second)
			if n := acked(); n > before+1 { // one commit may have been past its segment
				t.Fatalf("batch %d acknowledged %v into the outage, %d before", n, time.Since(lost), before)
			}
			v, err := r.manager.Live("r1")
			if err != nil || v.Run.State != run.Running {
				t.Fatalf("%v into the outage: %v, %s", time.Since(lost), err, v.Run.State)
			}
			if late := time.Since(lost) > 5*time.Second; since.IsZero() {
				if since = v.ProvisionalSince; late && since.IsZero() {
					t.Fatal("the view does not say that it is provisional")
				}
			} else if !v.ProvisionalSince.Equal(since) {
				t.Fatalf("provisional since %v, and then since %v", since, v.ProvisionalSince)
			}
		}
		r.disk.lose(false)
		time.Sleep(5 * time.Second)
		if v, err := r.manager.Live("r1"); err != nil || !v.ProvisionalSince.IsZero() {
			t.Errorf("after the outage: %v, provisional since %v", err, v.ProvisionalSince)
		}
		rec, d := r.ended2("r1")
		if d.Load.Sent != 4000 || d.Integrity.Completeness != 1 || rec.Verdict.Result != run.Pass {
			t.Errorf("%d sent, %+v, %+v", d.Load.Sent, d.Integrity, rec.Verdict)
		}
	})
}

// TestAbortOnAFullDisk: a breach ends the run while nothing can be committed, at the time at which it
// would have otherwise, and once.
func TestAbortOnAFullDisk(t *testing.T) {
	text := strings.Replace(shop, "for: 10s}", "for: 60s}", 1) + `criteria:
  - name: impossible
    check: p99(response_time) < 1ms
    window: 2s
    on_breach: abort
`
	bubble(t, text, func(r *rig) {
		w := r.fleet.join("a", 10)
		r.fleet.join("b", 11)
		r.create("r1", 0)
		r.until("r1", run.Running)
		r.disk.fill(true)
		for w.state().Goal != wire.GoalStop {
			time.Sleep(50 * time.Millisecond)
			if v, err := r.manager.Live("r1"); err != nil || v.Progress != nil && v.Progress.RunTime > 10*time.Second {
				t.Fatalf("the load goes on: %v, %+v", err, v.Run.State)
			}
		}
		r.disk.fill(false)
		rec, d := r.ended2("r1")
		if rec.Verdict.Result != run.Aborted || rec.Verdict.StoppedBy != "criterion" || rec.Stop.At > 6*time.Second {
			t.Errorf("verdict %+v, stopped at %v", rec.Verdict, rec.Stop.At)
		}
		breaches := 0
		for _, e := range d.Events {
			if e.Kind == "breach" {
				breaches++
			}
		}
		if breaches != 1 || len(d.Violations) != 1 {
			t.Errorf("%d breaches among the events, violations %+v", breaches, d.Violations)
		}
	})
}

// TestRecordTooLarge: a run whose record the store will never take ends with that reason.
func TestRecordTooLarge(t *testing.T) {
	text := shop + "setup:\n  - step: seed\n    http: {method: POST, path: /seed}\n    save: {sku: json.first}\n"
	bubble(t, text, func(r *rig) {
		r.term.limit = 16 << 10
		r.fleet.join("a", 10).saved = `{"sku":"` + strings.Repeat("x", 16<<10) + `"}`
		r.create("r1", 0)
		rec, d := r.ended2("r1")
		if rec.State != run.Failed || rec.Verdict.ExitCode != run.ExitInternal || d.Load.Planned != 0 {
			t.Errorf("%s, %+v, load %+v", rec.State, rec.Verdict, d.Load)
		}
		wantReason(t, rec.Stop.Reason, "larger than the store takes")
	})
}

// TestTakeOver: a run of whose workers none comes back is closed as FAILED by the next term, with what was
// committed and a report; one that only waited goes on waiting.
func TestTakeOver(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		w := r.fleet.join("a", 10)
		r.create("r1", 0)
		r.create("r2", 0)
		r.load("r1", 5500*time.Millisecond)
		w.mu.Lock()
		acked := int64(w.acked)
		w.mu.Unlock()
		r.term.end()
		r.resign()
		r.lead(2)
		rec, d := r.ended2("r1")
		if rec.State != run.Failed || rec.Verdict.Result != run.Invalid {
			t.Errorf("%s, %+v", rec.State, rec.Verdict)
		}
		wantReason(t, rec.Stop.Reason, "ended before the run did")
		if acked < 4 || d.Load.Sent < 100*acked {
			t.Errorf("%d batches were acknowledged, %d arrivals are reported", acked, d.Load.Sent)
		}
		if d.Load.Sent != 100*d.Integrity.BatchesCommitted {
			t.Errorf("%d batches of 100, %d sent", d.Integrity.BatchesCommitted, d.Load.Sent)
		}
		// For as long as it may have gone on by itself: a lease of 2 s, and two commits.
		if d.Run.ElapsedS < 8 || d.Run.ElapsedS > 10 || d.Load.Unknown != d.Load.Planned-d.Load.Sent || d.Load.Unknown < 300 {
			t.Errorf("elapsed %v s, load %+v", d.Run.ElapsedS, d.Load)
		}
		if len(d.Integrity.LeaderChanges) != 2 || d.Integrity.LeaderChanges[1].Epoch != 2 {
			t.Errorf("leaders %+v", d.Integrity.LeaderChanges)
		}
		if len(d.Integrity.Gaps) != 1 || d.Integrity.Gaps[0].ToSeq != nil || len(d.Integrity.Workers) != 1 {
			t.Errorf("integrity %+v", d.Integrity)
		}
		if got := r.record("r2").State; got != run.Idle {
			t.Errorf("the run that waited is %s", got)
		}
		r.fleet.join("a", 20)
		if rec, d := r.ended2("r2"); rec.Verdict.Result != run.Pass || d.Load.Sent != 1000 {
			t.Errorf("r2: %+v, %d sent", rec.Verdict, d.Load.Sent)
		}
	})
}

// TestTakeOverWhileStopping: whatever an earlier term had begun at the end of a run is finished.
func TestTakeOverWhileStopping(t *testing.T) {
	text := shop + "teardown:\n  - step: purge\n    http: {method: POST, path: /purge}\n"
	for _, after := range []time.Duration{0, 5 * time.Millisecond, 30 * time.Millisecond, 60 * time.Millisecond, 300 * time.Millisecond} {
		bubble(t, text, func(r *rig) {
			r.fleet.join("a", 10)
			r.create("r1", 0)
			r.load("r1", 2*time.Second)
			r.must("r1", run.Event{Kind: run.StopRequested, ID: "x", Stop: run.StopOperator, Reason: "enough"})
			time.Sleep(after)
			r.term.end()
			r.resign()
			r.lead(2)
			if rec := r.until("r1", run.Completed, run.Failed); rec.Verdict == nil {
				t.Errorf("after %v: no verdict", after)
			}
			r.report("r1")
		})
	}
}

// TestCheckpoint: the aggregates of a long run are stored, and a new term continues from them.
func TestCheckpoint(t *testing.T) {
	text := strings.Replace(shop, "for: 10s", "for: 150s", 1)
	bubble(t, text, func(r *rig) {
		r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 80*time.Second)
		head, err := r.manager.opts.Repository.Load(t.Context(), "r1")
		if err != nil {
			t.Fatal(err)
		}
		if head.Checkpoint == nil || head.Checkpoint.Through < 64 {
			t.Fatalf("checkpoint %+v after %d segments", head.Checkpoint, head.Next-1)
		}
		data, through, err := r.manager.opts.Repository.Aggregates(t.Context(), head)
		if err != nil {
			t.Fatal(err)
		}
		sum, err := metric.DecodeAggregate(data)
		if err != nil {
			t.Fatal(err)
		}
		source := metric.Source{Worker: "a", Incarnation: 10}
		p := sum.Parts[source]
		if p == nil || p.FirstSeq != 1 || p.LastSeq < through-2 || p.Sent != 100*int64(p.LastSeq) {
			t.Errorf("part %+v through segment %d", p, through)
		}
		r.term.end()
		r.resign()
		r.lead(2)
		_, d := r.ended2("r1")
		if d.Load.Sent < 7800 || d.Integrity.Workers[0].Samples != d.Load.Sent {
			t.Errorf("%d sent, workers %+v", d.Load.Sent, d.Integrity.Workers)
		}
	})
}

// TestLateBatchIsAmended: a part of a second that comes after it was judged counts in the report.
func TestLateBatchIsAmended(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		b := r.fleet.join("b", 11)
		r.create("r1", 0)
		r.load("r1", 2500*time.Millisecond)
		b.mu.Lock()
		b.mute = true // from its third batch on; the test delivers one of its own, late
		b.mu.Unlock()
		r.load("r1", 8500*time.Millisecond)
		s := metric.NewSecond(2)
		s.Arrivals[metric.ArrivalKey{Phase: "hold", Flow: "buy"}] = &metric.Arrivals{Planned: 50, Sent: 50, Failed: 50}
		r.manager.Received(b.info(), sealed("r1", metric.Source{Worker: "b", Incarnation: 11}, 3, s))
		time.Sleep(1500 * time.Millisecond)
		r.manager.Received(b.info(), wire.Final{Run: "r1", Incarnation: 11, LastSeq: 3})
		_, d := r.ended2("r1")
		if d.Load.Failed != 50 {
			t.Errorf("%d failed of the 50 that came late", d.Load.Failed)
		}
		found := false
		for _, e := range d.Events {
			found = found || e.Kind == "amendment"
		}
		if !found {
			t.Errorf("no amendment among %+v", d.Events)
		}
	})
}

// TestBooksThatContradict: a worker whose totals are not what its batches add up to makes the run INVALID.
func TestBooksThatContradict(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		w := r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 9900*time.Millisecond)
		w.mu.Lock()
		w.lies = true
		w.mu.Unlock()
		rec, d := r.ended2("r1")
		if rec.Verdict.Result != run.Invalid {
			t.Errorf("verdict %+v", rec.Verdict)
		}
		if !strings.Contains(reasons(rec), "add up to") || d.Load.Sent != 1000 {
			t.Errorf("reasons %s", reasons(rec))
		}
	})
}

func reasons(rec run.Run) string {
	var b strings.Builder
	for _, r := range rec.Verdict.Reasons {
		b.WriteString(r.Code + ": " + r.Message + "\n")
	}
	return b.String()
}
