package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"proofload/internal/fleet"
	"proofload/internal/result"
	"proofload/internal/run"
	"proofload/internal/wire"
)

const (
	// enforceEvery is how often a leader looks for runs that a halt has not ended yet: one that was just being
	// created, or whose record was in doubt.
	enforceEvery = time.Second
	// enforceWithin is how long one try to record the end of such a run may take.
	enforceWithin = 10 * time.Second
)

// conductor is what a halt needs of the runs of a term; *supervisor.Manager is one.
type conductor interface {
	Active() []wire.RunView
	Command(ctx context.Context, id string, ev run.Event) (run.Run, error)
	// Seek makes the runs that wait for workers look for them.
	Seek()
}

// halting is the halt of the cluster in one term: its record, and that it is obeyed. Its methods may be called
// concurrently.
type halting struct {
	heads  result.Heads
	runs   conductor
	kept   *fleet.Halts            // of this coordinator, that nobody has recorded yet
	learnt func(result.HaltRecord) // is told each version of the record
	log    hclog.Logger
	wall   func() time.Time

	writing chan struct{} // capacity 1: who reads or writes the record holds it
	nudge   chan struct{} // capacity 1

	mu      sync.Mutex
	record  result.HaltRecord
	doubt   bool       // the record may be another one by now
	pending *wire.Halt // the first that was asked for and is not recorded yet
	ending  map[string]bool
}

// open reads the record. It is called once, before everything else.
func (x *halting) open(ctx context.Context) error {
	x.writing, x.nudge, x.ending = make(chan struct{}, 1), make(chan struct{}, 1), map[string]bool{}
	if err := x.read(ctx); err != nil {
		return fmt.Errorf("take over the halt of the cluster: %w", err)
	}
	return nil
}

// read takes the record as it is stored. Who calls it holds writing, or is alone.
func (x *halting) read(ctx context.Context) error {
	r, err := result.ReadHalt(ctx, x.heads)
	if err != nil {
		return err
	}
	x.take(r)
	return nil
}

// take makes a record that was read or written the one that this term goes by.
func (x *halting) take(r result.HaltRecord) {
	x.mu.Lock()
	lifted := r.Lifts > x.record.Lifts
	x.record, x.doubt = r, false
	if x.pending != nil && (r.Halt != nil || r.Lift().Covers(x.pending.Order)) {
		x.pending = nil
	}
	x.mu.Unlock()
	x.learnt(r)
	if lifted {
		x.runs.Seek() // those that had not been ended before it was lifted
	}
}

// lift returns the newest lifting.
func (x *halting) lift() wire.Lift {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.record.Lift()
}

// halted returns the halt in force, recorded or not; false: there is none.
func (x *halting) halted() (wire.Halted, bool) {
	x.mu.Lock()
	record, pending := x.record, x.pending
	x.mu.Unlock()
	if h, ok := record.Halted(); ok {
		return h, true
	}
	if pending != nil {
		return pending.Halted(false), true
	}
	return unrecorded(x.kept, record.Lift())
}

// unrecorded returns the oldest halt that is kept here and was not lifted.
func unrecorded(kept *fleet.Halts, lift wire.Lift) (wire.Halted, bool) {
	for _, h := range kept.Kept() {
		if h.Everything() && !lift.Covers(h.Order) {
			return h.Halted(false), true
		}
	}
	return wire.Halted{}, false
}

// halt refuses new runs and ends all that there are from now on, and records that. It returns the halt in force,
// which is the first, and whether it is none because h was lifted already. With an error it is not recorded: it is
// obeyed for as long as the term lasts all the same.
func (x *halting) halt(ctx context.Context, h wire.Halt) (in wire.Halted, lifted bool, err error) {
	x.mu.Lock()
	if x.record.Lift().Covers(h.Order) {
		x.mu.Unlock()
		return wire.Halted{}, true, nil
	}
	if x.record.Halt == nil && x.pending == nil {
		x.pending = &h
		x.log.Warn("halted: every run is ended, and none is begun", "reason", h.Reason, "asked_by", h.By, "asked_of", h.AskedOf)
	}
	x.mu.Unlock()
	x.enforceNow()
	err = x.change(ctx, func(r result.HaltRecord) (result.HaltRecord, bool) {
		x.mu.Lock()
		first := x.pending
		x.mu.Unlock()
		changed := false
		if first != nil {
			r, changed = r.With(*first)
		}
		next, also := r.With(h)
		return next, changed || also
	})
	if err != nil {
		return wire.Halted{}, false, err
	}
	in, ok := x.halted()
	return in, !ok, nil
}

// unhalt lets runs be created again, and returns what was in force; false: nothing was. The same request again
// changes nothing, and is answered as before.
func (x *halting) unhalt(ctx context.Context, request string) (wire.Halted, bool, error) {
	err := x.change(ctx, func(r result.HaltRecord) (result.HaltRecord, bool) {
		return x.heard(r).Without(request, x.wall().UTC().Round(0))
	})
	if err != nil {
		return wire.Halted{}, false, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	was, ok := x.record.Lifted()
	return was, ok, nil
}

// heard adds to a record what was asked for and is not recorded, as far as it is known here: it is lifted too.
func (x *halting) heard(r result.HaltRecord) result.HaltRecord {
	x.mu.Lock()
	pending := x.pending
	x.mu.Unlock()
	if pending != nil {
		r, _ = r.With(*pending)
	}
	for _, h := range x.kept.Kept() {
		if h.Everything() {
			r, _ = r.With(h)
		}
	}
	return r
}

// change writes the record as fn changes it. It tries again what is in doubt until ctx ends.
func (x *halting) change(ctx context.Context, fn func(result.HaltRecord) (result.HaltRecord, bool)) error {
	select {
	case x.writing <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-x.writing }()
	for {
		err := x.settle(ctx)
		if err == nil {
			x.mu.Lock()
			now := x.record
			x.mu.Unlock()
			next, changed := fn(now)
			if !changed {
				return nil
			}
			if next, err = result.WriteHalt(ctx, x.heads, next); err == nil {
				x.take(next)
				return nil
			}
			x.doubts()
		}
		switch {
		case errors.Is(err, result.ErrFenced), errors.Is(err, result.ErrRefused):
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		select {
		case <-time.After(retryHalt):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// retryHalt is the time between two tries to write the record.
const retryHalt = 100 * time.Millisecond

func (x *halting) doubts() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.doubt = true
}

// settle reads the record again if a write has left it in doubt.
func (x *halting) settle(ctx context.Context) error {
	x.mu.Lock()
	doubt := x.doubt
	x.mu.Unlock()
	if !doubt {
		return nil
	}
	return x.read(ctx)
}

func (x *halting) enforceNow() {
	select {
	case x.nudge <- struct{}{}:
	default:
	}
}

// enforce ends, until ctx does, every run that there is while the cluster is halted, also one that came in between.
func (x *halting) enforce(ctx context.Context) {
	ticker := time.NewTicker(enforceEvery)
	defer ticker.Stop()
	var ending sync.WaitGroup
	defer ending.Wait()
	for {
		// In this order: what is among them was there before the cluster was seen to be halted, and is not one that
		// was begun after it was halted no more.
		active := x.runs.Active()
		if h, ok := x.halted(); ok {
			for _, v := range active {
				if v.Run.State != run.Stopping && !v.Run.State.Final() && x.begin(v.Run.ID) {
					ending.Go(func() { x.end(ctx, v.Run.ID, h) })
				}
			}
		}
		select {
		case <-x.nudge:
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		x.refresh(ctx)
	}
}

// refresh reads the record again if it is in doubt, unless somebody is about to.
func (x *halting) refresh(ctx context.Context) {
	select {
	case x.writing <- struct{}{}:
	default:
		return
	}
	defer func() { <-x.writing }()
	ctx, cancel := context.WithTimeout(ctx, etcdWithin)
	defer cancel()
	if err := x.settle(ctx); err != nil {
		x.log.Debug("record of halts not read", "error", err)
	}
}

// begin reports whether a run is to be ended now, and not under way already.
func (x *halting) begin(id string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ending[id] {
		return false
	}
	x.ending[id] = true
	return true
}

// end ends one run that was begun with.
func (x *halting) end(ctx context.Context, id string, h wire.Halted) {
	defer func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		delete(x.ending, id)
	}()
	ctx, cancel := context.WithTimeout(ctx, enforceWithin)
	defer cancel()
	ev := run.Event{Kind: run.StopRequested, ID: h.Request, Reason: h.Reason, Stop: run.StopHalt}
	if kept := func(k wire.Halt) bool { return k.Request == h.Request }; slices.ContainsFunc(x.kept.Kept(), kept) {
		ev.Asked, ev.AskedOf = h.Since, h.AskedOf // it could not be recorded when it was asked for
	}
	if _, err := x.runs.Command(ctx, id, ev); err != nil {
		x.log.Debug("end of a run by the halt not recorded", "run_id", id, "error", err)
	}
}

// live returns the runs that a halt ends.
func (x *halting) live() (ids []string) {
	for _, v := range x.runs.Active() {
		if !v.Run.State.Final() {
			ids = append(ids, v.Run.ID)
		}
	}
	slices.Sort(ids)
	return ids
}
