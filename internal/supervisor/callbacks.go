package supervisor

import (
	"context"
	"errors"
	"slices"
	"time"

	"proofload/internal/result"
	"proofload/internal/run"
)

// Notification is a point in a run's life, as it is told to a Callback.
type Notification struct {
	ID   string // the same, however often it is told
	Kind run.CallbackKind
	Run  run.Run // as it is recorded
}

// Callback is told of the points in runs' lives: at least once of each, by a coordinator that takes
// over if need be. It must return when ctx ends, and what it returns an error for is told again by the
// next term.
type Callback func(ctx context.Context, n Notification) error

// callbackTimeout is how long one call of a callback may take.
const callbackTimeout = 10 * time.Second

// callback makes the calls that runs ask for, one after the other, until ctx ends. What is not called
// by then stands in the records, for the next term.
func (m *Manager) callback(ctx context.Context) {
	for {
		select {
		case <-m.calls.wake:
			for _, fn := range m.calls.take(mailAtOnce) {
				fn()
			}
		case <-ctx.Done():
			return
		}
	}
}

// notify asks for the callbacks, and says with what they have answered.
func (m *Manager) notify(n Notification, told func(error)) {
	m.mu.Lock()
	term := m.ctx
	m.mu.Unlock()
	m.calls.post(func() {
		var errs []error
		for _, call := range m.opts.Callbacks {
			if term.Err() != nil {
				return
			}
			ctx, cancel := context.WithTimeout(term, callbackTimeout)
			errs = append(errs, call(ctx, n))
			cancel()
		}
		told(errors.Join(errs...))
	})
}

// owe notes a callback in the record of the event that calls for it.
func (r *runner) owe(e run.Effect) {
	r.facts.Notices = append(slices.Clip(r.facts.Notices), result.Notice{ID: e.ID, Kind: e.Callback})
}

// call has a callback made that is recorded.
func (r *runner) call(n result.Notice) {
	r.calling++
	r.m.notify(Notification{ID: n.ID, Kind: n.Kind, Run: r.stored}, func(err error) {
		r.mail.post(func() { r.called(n, err) })
	})
}

// called takes a callback that was made off the record. That is not worth a commit of its own: should it
// be lost, the callback is made twice.
func (r *runner) called(n result.Notice, err error) {
	r.calling--
	if err != nil {
		r.log.Warn("callback not delivered, the next start repeats it", "callback", n.Kind, "error", err)
	} else {
		r.facts.Notices = slices.DeleteFunc(slices.Clone(r.facts.Notices), func(o result.Notice) bool { return o == n })
	}
	r.checkOver()
}
