package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var (
	// ErrUnknownWorker says that no worker has that name.
	ErrUnknownWorker = errors.New("unknown worker")
	// ErrUnheard says that a worker has not confirmed a command in time.
	ErrUnheard = errors.New("the worker has not confirmed it")
)

// heardWithin is how long a worker may take to confirm that it leaves.
const heardWithin = 3 * time.Second

// drain is what a life of a worker was told about leaving; the zero value: nothing.
type drain struct {
	told   bool
	reason string
	heard  chan struct{} // closed when the worker leaves, or is known to do so
}

// heed notes that the worker knows that it is to leave. Fleet.mu is held.
func (m *member) heed() {
	if m.drain.heard == nil {
		m.drain.heard = make(chan struct{})
	}
	select {
	case <-m.drain.heard:
	default:
		close(m.drain.heard)
	}
}

// Drain asks a worker to leave once it has handed over what it has; it is reserved no more. It returns nil when
// the worker has confirmed: from then on it tells whoever leads next by itself. It is ErrUnknownWorker without such a
// worker, ErrTermOver when this coordinator leads no more, and ErrUnheard when the worker is away or slow: it is
// told when it is back, but a later leader does not know of it.
func (f *Fleet) Drain(ctx context.Context, name, reason string) error {
	heard, err := f.tellToLeave(name, reason)
	if err != nil {
		return err
	}
	late := time.NewTimer(heardWithin)
	defer late.Stop()
	select {
	case <-heard:
		return nil
	case <-late.C:
		return fmt.Errorf("drain of worker %s: %w within %s: it is told when it is heard again, unless another coordinator leads by then; give the command again",
			name, ErrUnheard, heardWithin)
	case <-ctx.Done():
		return fmt.Errorf("drain of worker %s: %w", name, context.Cause(ctx))
	}
}

func (f *Fleet) tellToLeave(name, reason string) (heard <-chan struct{}, err error) {
	f.mu.Lock()
	m, known := f.members[name]
	switch {
	case f.caretaker || f.closed:
		err = ErrTermOver
	case !known:
		err = fmt.Errorf("worker %s: %w", name, ErrUnknownWorker)
	}
	if err != nil {
		f.mu.Unlock()
		return nil, err
	}
	if m.drain.heard == nil {
		m.drain.heard = make(chan struct{})
	}
	m.info.Draining, m.drain.told, m.drain.reason = true, true, reason
	if m.session != nil {
		m.session.box.send(drainMessage(reason))
	}
	w, heard := m.snapshot(f.opts.Clock()), m.drain.heard
	f.mu.Unlock()
	f.opts.Handler.Leaving(w, reason)
	return heard, nil
}

// leaving notes that a worker wants to leave, so that no run reserves it any more.
func (f *Fleet) leaving(s *session, reason string) {
	f.with(s.worker.Name, func(m *member) {
		if m.session == s {
			m.info.Draining = true
			m.heed()
		}
	})
	f.opts.Handler.Leaving(s.worker, reason)
}
