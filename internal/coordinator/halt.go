package coordinator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"proofload/internal/api"
	"proofload/internal/relay"
	"proofload/internal/result"
	"proofload/internal/wire"
)

const (
	// recordHaltWithin is how long a halt may take to be recorded before it is passed on without that. The workers
	// of the leader have heard of it before.
	recordHaltWithin = 3 * time.Second
	// unhaltWithin is how long the end of a halt may take to be recorded.
	unhaltWithin = 5 * time.Second
	// readHaltEvery is how often a coordinator that does not lead reads whether the cluster is halted.
	readHaltEvery = time.Second
)

var (
	errHaltNotRecorded   = fmt.Errorf("etcd has not taken it within %s", recordHaltWithin)
	errUnhaltNotRecorded = fmt.Errorf("the end of the halt is not recorded: etcd has not taken it within %s; the same request again tells whether it has since: %w", unhaltWithin, context.DeadlineExceeded)
)

// haltBook is what a coordinator knows of the record of halts: its memory for the time in which etcd does not answer.
type haltBook struct {
	mu     sync.Mutex
	record result.HaltRecord
}

// learn takes a version of the record, unless a later one is known.
func (b *haltBook) learn(r result.HaltRecord) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.Revision >= b.record.Revision {
		b.record = r
	}
}

// inForce returns the halt in force; false: none is, as far as is known.
func (b *haltBook) inForce() (wire.Halt, bool) { return b.known().InForce() }

func (b *haltBook) known() result.HaltRecord {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.record
}

// HaltAll implements api.Halter.
func (c *Coordinator) HaltAll(ctx context.Context, h wire.Halt) (wire.Outcome, error) {
	h = c.stamped(ctx, h)
	if c.book.known().Lift().Covers(h.Order) {
		return wire.Outcome{Lifted: true}, nil
	}
	why := cmp.Or(relay.Away(ctx), "nobody leads who could record it")
	var live []string
	if b := c.inOffice(); b != nil {
		live = b.halting.live()
		recording, cancel := context.WithTimeoutCause(ctx, recordHaltWithin, errHaltNotRecorded)
		in, lifted, err := b.halting.halt(recording, h)
		cancel()
		if err == nil {
			defer c.halts.Forget(h.Request)
			if lifted {
				return wire.Outcome{Lifted: true}, nil
			}
			passed := c.hearHalt(ctx, b, h)
			passed.Runs = wire.Union(passed.Runs, live)
			return wire.Outcome{Passed: passed, Halted: in}, nil
		}
		why = err.Error()
	}
	passed, err := c.Halt(ctx, h)
	if err != nil {
		return wire.Outcome{}, err
	}
	passed.Runs = wire.Union(passed.Runs, live)
	if passed.Halted != nil {
		passed.Coordinators, passed.Missed = nil, nil // nobody has to keep it any more
		return wire.Outcome{Passed: passed, Halted: *passed.Halted}, nil
	}
	out := wire.Outcome{Passed: passed, Halted: h.Halted(false), Why: why}
	if in, ok := c.inForce(); ok {
		out.Halted = in
	}
	return out, nil
}

// hearHalt returns who has heard of a halt that is recorded. The workers of runs that this term does not have in hand
// yet are told past it.
func (c *Coordinator) hearHalt(ctx context.Context, b *backend, h wire.Halt) wire.Passed {
	if len(b.manager.Unread()) > 0 {
		if passed, err := c.Halt(ctx, h); err == nil {
			passed.Coordinators, passed.Missed = nil, nil // nobody has to keep it
			return passed
		}
	}
	return c.halts.Confirmed(ctx)
}

// Unhalt implements api.Halter.
func (c *Coordinator) Unhalt(ctx context.Context, request string) (wire.Halted, bool, error) {
	b := c.inOffice()
	if b == nil {
		return wire.Halted{}, false, api.ErrNotLeading
	}
	ctx, cancel := context.WithTimeoutCause(ctx, unhaltWithin, errUnhaltNotRecorded)
	defer cancel()
	was, ok, err := b.halting.unhalt(ctx, request)
	if errors.Is(err, result.ErrFenced) {
		return wire.Halted{}, false, api.ErrNotLeading
	}
	if err != nil {
		return wire.Halted{}, false, err
	}
	c.forgetLifted()
	c.log.Info("halted no more", "was_halted", ok, "reason", was.Reason)
	return was, ok, nil
}

// inForce returns the halt that this coordinator knows of, recorded or not; false: of none.
func (c *Coordinator) inForce() (wire.Halted, bool) {
	known := c.book.known()
	if h, ok := known.Halted(); ok {
		return h, true
	}
	return unrecorded(c.halts, known.Lift())
}

// followHalt keeps up with the record of halts while another coordinator leads: for the status while etcd does not
// answer, and so that a halt which is asked for here then is told from those that were lifted before.
func (c *Coordinator) followHalt(ctx context.Context) {
	ticker := time.NewTicker(readHaltEvery)
	defer ticker.Stop()
	for {
		if c.inOffice() == nil {
			reading, cancel := context.WithTimeout(ctx, etcdWithin)
			r, err := result.ReadHalt(reading, reader{c.store})
			cancel()
			if err == nil {
				c.book.learn(r)
				c.forgetLifted()
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// forgetLifted drops the halts that were lifted before anybody could record them.
func (c *Coordinator) forgetLifted() {
	lift := c.book.known().Lift()
	for _, h := range c.halts.Kept() {
		if h.Everything() && lift.Covers(h.Order) {
			c.halts.Forget(h.Request)
		}
	}
}

// settleHalt has a halt recorded by whoever leads.
func (c *Coordinator) settleHalt(ctx context.Context, h wire.Halt) error {
	if b := c.inOffice(); b != nil {
		_, _, err := b.halting.halt(ctx, h)
		return err
	}
	leader, err := c.otherLeader()
	if err != nil {
		return err
	}
	out, err := c.relay.Halt(ctx, leader.Address, h)
	if err == nil && !out.Lifted && !out.Halted.Recorded {
		err = errNobodyLeads // it keeps the halt as well
	}
	return err
}
