package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"proofload/internal/fleet"
	"proofload/internal/result"
	"proofload/internal/run"
	"proofload/internal/wire"
)

// etcdOf is a result.Heads in memory, which can be away and lose replies.
type etcdOf struct {
	mu       sync.Mutex
	value    []byte
	revision int64
	away     bool // nothing is answered
	mute     int  // so many writes are applied and not answered
	writes   int
	ended    bool // the term is over
}

func (e *etcdOf) set(fn func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	fn()
}

func (e *etcdOf) Epoch() int64 { return 7 }

func (e *etcdOf) Get(ctx context.Context, _ string) (result.Record, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.away {
		e.mu.Unlock()
		<-ctx.Done()
		e.mu.Lock()
		return result.Record{}, ctx.Err()
	}
	if e.revision == 0 {
		return result.Record{}, result.ErrNotFound
	}
	return result.Record{Value: e.value, Revision: e.revision}, nil
}

func (e *etcdOf) Page(context.Context, string, string, int) ([]result.Record, bool, error) {
	return nil, false, errors.New("not asked for")
}

func (e *etcdOf) Commit(ctx context.Context, writes []result.Write) (int64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.away {
		e.mu.Unlock()
		<-ctx.Done()
		e.mu.Lock()
		return 0, fmt.Errorf("%w: %w", result.ErrUnknown, ctx.Err())
	}
	if e.ended {
		return 0, result.ErrFenced
	}
	if writes[0].IfRevision != e.revision {
		return 0, result.ErrConflict
	}
	e.writes++
	e.value, e.revision = writes[0].Value, e.revision+10
	if e.mute > 0 {
		e.mute--
		return 0, result.ErrUnknown
	}
	return e.revision, nil
}

// runsOf are runs whose only command is their end.
type runsOf struct {
	mu    sync.Mutex
	live  []string
	ended map[string]run.Event
	times map[string]int
}

func (r *runsOf) add(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live = append(r.live, id)
}

func (r *runsOf) Active() (out []wire.RunView) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range r.live {
		v := wire.RunView{Run: run.Run{ID: id, State: run.Running}}
		if _, ok := r.ended[id]; ok {
			v.Run.State = run.Stopping
		}
		out = append(out, v)
	}
	return out
}

func (r *runsOf) Command(_ context.Context, id string, ev run.Event) (run.Run, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended[id] = ev
	r.times[id]++
	return run.Run{ID: id}, nil
}

func (r *runsOf) Seek() {}

func (r *runsOf) end(id string) (run.Event, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended[id], r.times[id]
}

// termOf is a halting with its etcd and its runs.
type termOf struct {
	*halting
	etcd *etcdOf
	runs *runsOf
	book haltBook
}

// termWith makes one that is enforced until the test ends, in a bubble.
func termWith(t *testing.T, etcd *etcdOf, live ...string) *termOf {
	t.Helper()
	o := &termOf{etcd: etcd, runs: &runsOf{live: live, ended: map[string]run.Event{}, times: map[string]int{}}}
	o.halting = &halting{
		heads: etcd, runs: o.runs, kept: fleet.NewHalts(nil), learnt: o.book.learn, log: hclog.NewNullLogger(), wall: time.Now,
	}
	if err := o.halting.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var enforcing sync.WaitGroup
	enforcing.Go(func() { o.enforce(ctx) })
	t.Cleanup(func() { cancel(); enforcing.Wait() })
	return o
}

func asked(request string) wire.Halt {
	return wire.Halt{Kind: run.StopHalt, Reason: "because of " + request, By: "me", Order: wire.Order{Request: request, AskedOf: "c2", Asked: time.Now().UTC()}}
}

func soon(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestHaltEndsEveryRun proves that a halt ends every run, also one that came in between, once and with its reason, that
// a later halt changes nothing of that, and that the next term goes by it and ends what it finds.
func TestHaltEndsEveryRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		etcd := &etcdOf{}
		o := termWith(t, etcd, "r1", "r2")
		first := asked("q1")
		in, lifted, err := o.halt(t.Context(), first)
		if err != nil || lifted || in != first.Halted(true) {
			t.Fatalf("halted %+v, %v, %v", in, lifted, err)
		}
		synctest.Wait()
		o.runs.add("r3") // it was being created
		time.Sleep(2 * enforceEvery)
		synctest.Wait()
		for _, id := range []string{"r1", "r2", "r3"} {
			if ev, times := o.runs.end(id); times != 1 || ev.Kind != run.StopRequested || ev.Stop != run.StopHalt || ev.Reason != first.Reason || ev.ID != "q1" || ev.AskedOf != "" {
				t.Errorf("%s: %+v, %d times", id, ev, times)
			}
		}
		if in, _, err = o.halt(t.Context(), asked("q2")); err != nil || in != first.Halted(true) {
			t.Errorf("the second made it %+v, %v", in, err)
		}
		writes := etcd.writes
		if _, _, err = o.halt(t.Context(), first); err != nil || etcd.writes != writes {
			t.Errorf("the first again was written again, or %v", err)
		}
		next := termWith(t, etcd, "r4")
		synctest.Wait()
		if _, times := next.runs.end("r4"); times != 1 {
			t.Errorf("the next term ended its run %d times", times)
		}
		if in, ok := next.halted(); !ok || in != first.Halted(true) {
			t.Errorf("the next term is halted %+v, %v", in, ok)
		}
	})
}

// TestHaltThatCannotBeRecorded proves that a halt is obeyed although etcd does not answer, that its first reason and
// time are recorded when it does, and that one whose reply was lost is recorded once.
func TestHaltThatCannotBeRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		etcd := &etcdOf{}
		o := termWith(t, etcd, "r1")
		etcd.set(func() { etcd.away = true })
		first := asked("q1")
		if _, _, err := o.halt(soon(t, recordHaltWithin), first); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("halted without etcd: %v", err)
		}
		if _, times := o.runs.end("r1"); times != 1 {
			t.Errorf("the run was ended %d times", times)
		}
		if in, ok := o.halted(); !ok || in != first.Halted(false) {
			t.Errorf("halted %+v, %v", in, ok)
		}
		etcd.set(func() { etcd.away, etcd.mute = false, 1 })
		time.Sleep(time.Second)
		later := asked("q2")
		in, lifted, err := o.halt(t.Context(), later)
		if err != nil || lifted || in != first.Halted(true) {
			t.Errorf("halted %+v, %v, %v", in, lifted, err)
		}
		if known := o.book.known(); etcd.writes != 1 || known.Halt.Request != "q1" || !slices.Equal(known.Merged, []string{"q2"}) {
			t.Errorf("%d writes, recorded %+v", etcd.writes, known)
		}
		etcd.set(func() { etcd.ended = true })
		if _, _, err := o.unhalt(t.Context(), "u"); !errors.Is(err, result.ErrFenced) {
			t.Errorf("lifted by a term that is over: %v", err)
		}
	})
}

// TestUnhalt proves that a halt is lifted once, with everything that is kept and was asked for before, that no run which
// begins then is ended, that the same request lifts no second halt, and that nothing is claimed while etcd is away.
func TestUnhalt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		etcd := &etcdOf{}
		o := termWith(t, etcd)
		first := asked("q1")
		ahead := asked("q2") // kept by this coordinator, and by others
		ahead.Asked = ahead.Asked.Add(time.Hour)
		if _, err := o.kept.Halt(soon(t, time.Second), ahead); err != nil {
			t.Fatal(err)
		}
		if _, _, err := o.halt(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		etcd.set(func() { etcd.away = true })
		if _, _, err := o.unhalt(soon(t, unhaltWithin), "u1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("lifted without etcd: %v", err)
		}
		if _, ok := o.halted(); !ok {
			t.Error("what is not recorded was lifted")
		}
		etcd.set(func() { etcd.away, etcd.mute = false, 1 })
		if was, ok, err := o.unhalt(t.Context(), "u1"); err != nil || !ok || was != first.Halted(true) {
			t.Errorf("lifted %+v, %v, %v", was, ok, err)
		}
		o.runs.add("r1")
		time.Sleep(3 * enforceEvery)
		synctest.Wait()
		if _, times := o.runs.end("r1"); times != 0 {
			t.Error("a run that began after it was lifted was ended")
		}
		for _, copied := range []wire.Halt{first, ahead} {
			if in, lifted, err := o.halt(t.Context(), copied); err != nil || !lifted {
				t.Errorf("%s has come back: %+v, %v", copied.Request, in, err)
			}
		}
		second := asked("q3")
		second.Lifts, second.Asked = 1, second.Asked.Add(-time.Hour)
		if in, _, err := o.halt(t.Context(), second); err != nil || in != second.Halted(true) {
			t.Fatalf("halted %+v, %v", in, err)
		}
		if was, ok, err := o.unhalt(t.Context(), "u1"); err != nil || !ok || was != first.Halted(true) {
			t.Errorf("the same request is answered %+v, %v, %v", was, ok, err)
		}
		if _, ok := o.halted(); !ok {
			t.Error("the same request has lifted the second halt")
		}
	})
}

// TestLiftedInDoubt proves that a lifting whose reply was lost is noticed without being asked for again.
func TestLiftedInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		etcd := &etcdOf{}
		o := termWith(t, etcd)
		if _, _, err := o.halt(t.Context(), asked("q1")); err != nil {
			t.Fatal(err)
		}
		etcd.set(func() { etcd.mute = 1 })
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("the client is gone")
		time.AfterFunc(retryHalt/2, func() { cancel(gone) })
		if _, _, err := o.unhalt(ctx, "u1"); !errors.Is(err, gone) {
			t.Errorf("lifted, %v", err)
		}
		time.Sleep(2 * enforceEvery)
		synctest.Wait()
		if in, ok := o.halted(); ok {
			t.Errorf("halted still: %+v", in)
		}
	})
}

// TestHaltBook proves that an older version of the record never replaces a newer one, and that kept halts are told
// from lifted ones by it.
func TestHaltBook(t *testing.T) {
	now := time.Unix(1_000_000, 0).UTC()
	c := &Coordinator{halts: fleet.NewHalts(nil)}
	c.book.learn(result.HaltRecord{Revision: 9, Lifts: 1, LiftedAt: now})
	c.book.learn(result.HaltRecord{Revision: 5, Halt: &result.RecordedHalt{Request: "q0"}})
	if in, ok := c.inForce(); ok {
		t.Errorf("halted by an older record: %+v", in)
	}
	before, after := asked("q1"), asked("q2")
	before.Asked, after.Asked = now, now.Add(time.Second)
	for _, h := range []wire.Halt{before, after} {
		if _, err := c.halts.Halt(soon(t, time.Millisecond), h); err != nil {
			t.Fatal(err)
		}
	}
	c.forgetLifted()
	if in, ok := c.inForce(); !ok || in != after.Halted(false) {
		t.Errorf("halted %+v, %v", in, ok)
	}
	if problems := c.unsettled(); len(problems) != 1 {
		t.Errorf("problems %q", problems)
	}
	c.book.learn(result.HaltRecord{Revision: 10, Halt: &result.RecordedHalt{Request: "q3"}})
	if in, _ := c.inForce(); in.Request != "q3" || !in.Recorded {
		t.Errorf("halted %+v", in)
	}
}

// TestHaltOutlivesTheCoordinator proves that a halt lasts when a coordinator is started again, and not beyond a run on
// one machine, after which nobody is there to lift it.
func TestHaltOutlivesTheCoordinator(t *testing.T) {
	for name, own := range map[string]bool{"a daemon": false, "a run on this machine": true} {
		t.Run(name, func(t *testing.T) {
			o := options(t.TempDir())
			o.OwnWorkers = own
			first := startWith(t, o)
			first.awaitLeader(t)
			out, err := first.HaltAll(t.Context(), wire.Halt{Kind: run.StopHalt, Reason: "enough", Order: wire.Order{Request: "q1"}})
			if err != nil || !out.Halted.Recorded || out.Halted.AskedOf != "c1" || out.Halted.Since.IsZero() {
				t.Fatalf("halted %+v, %v", out, err)
			}
			first.stop(t)
			first.ended <- nil // the end of the test stops it once more
			second := startWith(t, o)
			second.awaitLeader(t)
			if in, ok := second.inOffice().halting.halted(); ok == own {
				t.Errorf("started again, it is halted: %v, %+v", ok, in)
			}
			if _, _, err := second.Unhalt(t.Context(), "u1"); err != nil {
				t.Error(err)
			}
			if in, ok := second.inForce(); ok {
				t.Errorf("halted still: %+v", in)
			}
		})
	}
}
