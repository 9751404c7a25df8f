package supervisor

import (
	"context"
	"errors"
	"fmt"

	"proofload/internal/result"
	"proofload/internal/run"
	"proofload/internal/scenario"
)

// Command applies a command to a live run and returns the run once it is recorded. A repeated id is
// the same command, also after the end of the run.
func (m *Manager) Command(ctx context.Context, id string, ev run.Event) (run.Run, error) {
	r, err := m.live(id)
	if err != nil {
		return m.repeated(ctx, id, ev)
	}
	if ev.Kind == run.ScaleRequested {
		ev.MaxFactor, ev.Limit = maxFactor(r.plan)
	}
	type answer struct {
		run run.Run
		err error
	}
	reply := make(chan answer, 1)
	r.mail.post(func() {
		command := func() {
			if err := r.searchForbids(ev); err != nil {
				reply <- answer{r.stored, err}
				return
			}
			r.command(ev, func(rec run.Run, err error) { reply <- answer{rec, err} })
		}
		if ev.Kind == run.StopRequested {
			command() // it needs no run time: up to when there was load the samples tell
			return
		}
		r.inTime(command)
	})
	select {
	case a := <-reply:
		return a.run, a.err
	case <-r.done:
		select {
		case a := <-reply: // the last thing that the runner did
			return a.run, a.err
		default:
			return m.repeated(ctx, id, ev)
		}
	case <-ctx.Done():
		return run.Run{}, context.Cause(ctx)
	}
}

// repeated answers a command to a run that is not conducted here: if it was applied to a run that has
// ended since, as it was answered then.
func (m *Manager) repeated(ctx context.Context, id string, ev run.Event) (run.Run, error) {
	head, err := m.opts.Repository.Load(ctx, id)
	if errors.Is(err, result.ErrNotFound) {
		return run.Run{}, fmt.Errorf("run %s: %w", id, ErrNotLive)
	}
	if err != nil {
		return run.Run{}, err
	}
	if !head.Run.State.Final() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.closed {
			return run.Run{}, fmt.Errorf("run %s: %w", id, ErrElsewhere)
		}
		return run.Run{}, fmt.Errorf("run %s: %w", id, ErrTakingOver)
	}
	// What is new is not possible any more, and the id of another kind of command is refused.
	rec, _, err := run.Step(head.Run, ev)
	return rec, err
}

// maxFactor is how far the limits of a plan let it be scaled, and which of them does not let it further;
// 0: as far as anybody likes.
func maxFactor(p *scenario.Plan) (most float64, limit string) {
	rate, users := p.Peak()
	for _, l := range []struct {
		limit, peak float64
		key         string
	}{{p.Limits.Rate, rate, "limits.rate"}, {p.Limits.Users, users, "limits.users"}} {
		if l.limit > 0 && l.peak > 0 && (most == 0 || l.limit/l.peak < most) {
			most, limit = l.limit/l.peak, l.key
		}
	}
	return most, limit
}
