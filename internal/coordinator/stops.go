package coordinator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/metadata"

	"proofload/internal/api"
	"proofload/internal/relay"
	"proofload/internal/run"
	"proofload/internal/supervisor"
	"proofload/internal/wire"
)

const (
	// passWithin is how long another coordinator may take to pass a stop to its workers.
	passWithin = 6 * time.Second
	// settleEvery is how often a stop is given to the leader until it is recorded, and settleWithin how long that
	// may take once.
	settleEvery  = time.Second
	settleWithin = 10 * time.Second
)

// Halt implements api.Halter. A stop that another coordinator has passed on goes to the workers here alone.
func (c *Coordinator) Halt(ctx context.Context, h wire.Halt) (wire.Passed, error) {
	var err error
	if !h.Everything() {
		if h.Run, err = c.meant(h.Run); err != nil {
			return wire.Passed{}, err
		}
	}
	h = c.stamped(ctx, h)
	passed := wire.Passed{Coordinators: []string{c.opts.Name}}
	again := slices.ContainsFunc(c.halts.Kept(), func(k wire.Halt) bool { return k.Request == h.Request })
	others := c.others(ctx)
	answers := make(chan wire.Passed, len(others))
	var asking sync.WaitGroup
	for _, other := range others {
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, passWithin)
			defer cancel()
			answer, err := c.pass(ctx, other.Address, h)
			if err != nil {
				c.log.Warn("stop not passed on", "coordinator", other.Name, "address", other.Address, "run_id", h.Run, "error", err)
				if errors.Is(err, relay.ErrRefused) {
					return // it was reached, and there is nothing to do
				}
				answer = wire.Passed{Missed: []string{other.Name}}
			}
			answers <- answer
		})
	}
	here, err := c.halts.Halt(ctx, h)
	asking.Wait()
	close(answers)
	if err != nil {
		return wire.Passed{}, err
	}
	passed = joined(passed, here)
	for answer := range answers {
		passed = joined(passed, answer)
	}
	recorded := passed.Recorded != nil || passed.Halted != nil
	if recorded {
		c.halts.Forget(h.Request)
	}
	log := c.log.Info
	if again {
		log = c.log.Debug // another coordinator looks for somebody who can record it
	}
	log("stop passed on", "run_id", h.Run, "reason", h.Reason, "workers", len(passed.Told), "stopped", len(passed.Stopped), "recorded", recorded)
	return passed, nil
}

// unanswered tells the workers here of a stop or a halt that the leader takes long to answer. It is kept until a leader
// has recorded it, or refused it.
func (c *Coordinator) unanswered(ctx context.Context, h wire.Halt) {
	if _, err := c.meant(h.Run); err != nil {
		return // the last one, of which only the leader knows which that is
	}
	h = c.stamped(ctx, h)
	passed, err := c.halts.Halt(ctx, h)
	c.log.Info("the leader takes long to answer a stop: the workers here were told", "run_id", h.Run, "workers", len(passed.Told), "error", err)
}

// stamped says of a stop whom it was asked of and when, unless it says that already.
func (c *Coordinator) stamped(ctx context.Context, h wire.Halt) wire.Halt {
	if h.AskedOf == "" {
		h.AskedOf = c.opts.Name
		if by := metadata.ValueFromIncomingContext(ctx, wire.MetaRelayedBy); len(by) > 0 {
			h.AskedOf = by[0]
		}
	}
	if h.Asked.IsZero() {
		h.Asked = c.opts.Wall().UTC().Round(0)
		if h.Everything() {
			h.Lifts = c.book.known().Lifts
		}
	}
	return h
}

// pass passes a stop to the coordinator at an address.
func (c *Coordinator) pass(ctx context.Context, address string, h wire.Halt) (wire.Passed, error) {
	if !h.Everything() {
		return c.relay.Stop(ctx, address, h)
	}
	out, err := c.relay.Halt(ctx, address, h)
	if err == nil && out.Halted.Recorded {
		out.Passed.Halted = &out.Halted
	}
	return out.Passed, err
}

// joined is what two coordinators have passed on together: a worker that one relays to the other is one worker.
func joined(a, b wire.Passed) wire.Passed {
	a.Told, a.Stopped, a.Coordinators = wire.Union(a.Told, b.Told), wire.Union(a.Stopped, b.Stopped), wire.Union(a.Coordinators, b.Coordinators)
	a.Runs, a.Missed = wire.Union(a.Runs, b.Runs), wire.Union(a.Missed, b.Missed)
	if b.Recorded != nil {
		a.Recorded = b.Recorded
	}
	if b.Halted != nil {
		a.Halted = b.Halted
	}
	return a
}

// others are the coordinators that a stop is passed to.
func (c *Coordinator) others(ctx context.Context) []wire.Leader {
	if len(metadata.ValueFromIncomingContext(ctx, wire.MetaPassedOn)) > 0 {
		return nil
	}
	all, _ := c.standing.ask()
	return slices.DeleteFunc(slices.Clone(all), func(l wire.Leader) bool { return l.Address == c.opts.Advertise || l.Address == "" })
}

// meant returns the run that a stop means. What `last` is only the record tells, unless a leader has one run
// alone: another coordinator sees the runs of the workers that it relays, and the last one may be elsewhere.
func (c *Coordinator) meant(id string) (string, error) {
	if id != "last" && id != "last-pass" {
		return id, nil
	}
	live := c.halts.Runs()
	b := c.inOffice()
	if b != nil {
		for _, v := range b.manager.Active() {
			live = append(live, v.Run.ID)
		}
	}
	slices.Sort(live)
	live = slices.Compact(live)
	if id == "last" && b != nil && len(live) == 1 {
		return live[0], nil
	}
	return "", fmt.Errorf("run %s: %w: the store cannot be asked which one that is: give its id%s", id, api.ErrNotFound, known(live))
}

// known lists the runs that a coordinator knows of.
func known(live []string) string {
	if len(live) == 0 {
		return ""
	}
	return "; workers that are heard from here execute " + strings.Join(live, ", ")
}

// inOffice returns what this coordinator leads with; nil: it does not lead.
func (c *Coordinator) inOffice() *backend {
	c.standing.mu.Lock()
	defer c.standing.mu.Unlock()
	return c.standing.office
}

// settleStops has the stops recorded that could not be, as soon as there is a leader who can.
func (c *Coordinator) settleStops(ctx context.Context) {
	ticker := time.NewTicker(settleEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		kept := c.halts.Kept()
		slices.SortStableFunc(kept, func(a, b wire.Halt) int { return cmp.Compare(len(a.Run), len(b.Run)) }) // halts first
		for _, h := range kept {
			if c.settleStop(ctx, h) {
				c.halts.Forget(h.Request)
			}
		}
	}
}

// settleStop gives a stop to whoever leads, and reports whether nothing is left to do about it.
func (c *Coordinator) settleStop(ctx context.Context, h wire.Halt) bool {
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	var err error
	switch b := c.inOffice(); {
	case h.Everything():
		err = c.settleHalt(ctx, h)
	case b != nil:
		_, err = b.manager.Command(ctx, h.Run, run.Event{
			Kind: run.StopRequested, ID: h.Request, Reason: h.Reason, Stop: h.Kind, Asked: h.Asked, AskedOf: h.AskedOf,
		})
	default:
		err = c.giveStop(ctx, h)
	}
	var wrong *run.EventError
	switch {
	case err == nil:
		c.log.Info("stop is recorded", "run_id", h.Run, "asked_of", h.AskedOf)
	case errors.Is(err, supervisor.ErrNotLive), errors.Is(err, relay.ErrRefused), errors.As(err, &wrong):
		c.log.Info("stop needs no record any more", "run_id", h.Run, "error", err)
	default:
		return false
	}
	return true
}

var errNobodyLeads = errors.New("nobody leads")

// otherLeader returns the leader, if another coordinator leads.
func (c *Coordinator) otherLeader() (wire.Leader, error) {
	c.standing.mu.Lock()
	defer c.standing.mu.Unlock()
	leader := c.standing.leader
	if leader.Epoch == 0 || leader.Address == c.opts.Advertise {
		return wire.Leader{}, errNobodyLeads
	}
	return leader, nil
}

// giveStop gives a stop to the leader, if another coordinator leads.
func (c *Coordinator) giveStop(ctx context.Context, h wire.Halt) error {
	leader, err := c.otherLeader()
	if err != nil {
		return err
	}
	answer, err := c.relay.Stop(ctx, leader.Address, h)
	if err == nil && answer.Recorded == nil {
		err = errNobodyLeads // it keeps the stop as well
	}
	return err
}

// unsettled says which stops are not recorded yet.
func (c *Coordinator) unsettled() (problems []string) {
	for _, h := range c.halts.Kept() {
		to := "to none of its workers yet"
		if told := c.halts.Reached(h.Request).Told; len(told) > 0 {
			to = "to " + strings.Join(told, ", ")
		}
		what := "run " + h.Run + ": the stop"
		if h.Everything() {
			what = "the halt of every run"
		}
		problems = append(problems, fmt.Sprintf("%s that coordinator %s was asked for at %s is not recorded yet; coordinator %s has passed it %s",
			what, h.AskedOf, h.Asked.UTC().Format("15:04:05Z"), c.opts.Name, to))
	}
	return problems
}

var _ api.Halter = (*Coordinator)(nil)
