package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"proofload/internal/run"
	"proofload/internal/wire"
)

// ErrNotConnected says that a worker has no session now.
var ErrNotConnected = errors.New("worker is not connected")

// ErrTermOver refuses a worker or a command that came while leadership was lost.
var ErrTermOver = errors.New("this coordinator leads no more")

// NameTakenError refuses a worker whose name another living worker holds.
type NameTakenError struct {
	Name, HolderHostname, HolderInstance string
}

// Error says who holds the name and what to do.
func (e *NameTakenError) Error() string {
	return fmt.Sprintf("worker name %q is held by another worker on host %s: start this one with another --name", e.Name, e.HolderHostname)
}

// Handler is told what workers do. Its methods are called from the goroutine that reads the
// worker's stream, in the order of that stream, but for the Detached of a worker whose death was
// reported; they must not block.
type Handler interface {
	// Attached is called before the worker is welcomed; it returns how far each run and incarnation
	// of the hello's outbox is committed.
	Attached(w Worker, hello wire.Hello) []wire.Mark
	// Detached is called when a session has ended and no newer one has replaced it, and when the death
	// of a worker without a session is reported. Goodbye says that the worker left on purpose or that its
	// process has ended: it has stopped starting work.
	Detached(w Worker, reason string, goodbye bool)
	// Leaving is called when a worker is to leave soon, and wants its part of a run handed over first.
	Leaving(w Worker, reason string)
	// Received is called for every message about a run.
	Received(w Worker, m wire.Upward)
}

// Options are what a Fleet needs. All fields are required.
type Options struct {
	Logger    hclog.Logger
	Leader    wire.Leader // the term that this fleet serves
	Cluster   uint64      // identity of the etcd cluster
	Clock     func() int64
	Heartbeat time.Duration // interval asked of the workers
	// Incarnation hands out the number of a worker's new life: unique and growing.
	Incarnation func(ctx context.Context) (int64, error)
	// Leading reports whether leadership still stands; it is asked before every lease grant.
	Leading func() bool
	// File returns the content stored under a digest.
	File    func(ctx context.Context, digest string) ([]byte, error)
	Handler Handler
}

// Fleet is the workers of one term of leadership. All methods may be called concurrently.
type Fleet struct {
	opts Options
	log  hclog.Logger

	mu        sync.Mutex
	members   map[string]*member
	caretaker bool // the term is over, and the sessions are kept
	closed    bool // the term is over, and so are the sessions
}

// New returns a fleet without workers.
func New(opts Options) *Fleet {
	return &Fleet{opts: opts, log: opts.Logger.Named("fleet"), members: map[string]*member{}}
}

// Workers returns every worker known, by name.
func (f *Fleet) Workers() []Worker {
	now := f.opts.Clock()
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]Worker, 0, len(f.members))
	for _, m := range f.members {
		out = append(out, m.snapshot(now))
	}
	slices.SortFunc(out, func(a, b Worker) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Worker returns one worker by name.
func (f *Fleet) Worker(name string) (Worker, bool) {
	now := f.opts.Clock()
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.members[name]
	if !ok {
		return Worker{}, false
	}
	return m.snapshot(now), true
}

// Reserve takes every free connected worker that carries the labels of match, if there are no fewer
// than least of them, for the run. It takes all or none, and returns those taken; when it takes none, why.
func (f *Fleet) Reserve(runID string, match map[string]string, least int) (taken []Worker, why string) {
	now := f.opts.Clock()
	f.mu.Lock()
	defer f.mu.Unlock()
	var free []*member
	busy := map[string][]string{}
	for _, m := range f.members {
		if m.session == nil || m.retired || m.dead || m.info.Draining || !m.info.Matches(match) {
			continue
		}
		if m.info.Run != "" {
			busy[m.info.Run] = append(busy[m.info.Run], m.info.Name)
			continue
		}
		free = append(free, m)
	}
	if least = max(least, 1); len(free) < least {
		return nil, waitReason(match, least, len(free), busy)
	}
	for _, m := range free {
		m.info.Run = runID
		taken = append(taken, m.snapshot(now))
	}
	slices.SortFunc(taken, func(a, b Worker) int { return strings.Compare(a.Name, b.Name) })
	return taken, ""
}

// waitReason says what a run waits for, and for whom.
func waitReason(match map[string]string, least, free int, busy map[string][]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "waiting for %d worker", least)
	if least > 1 {
		b.WriteByte('s')
	}
	if len(match) > 0 {
		pairs := make([]string, 0, len(match))
		for k, v := range match {
			pairs = append(pairs, k+"="+v)
		}
		slices.Sort(pairs)
		fmt.Fprintf(&b, " with %s", strings.Join(pairs, ", "))
	}
	fmt.Fprintf(&b, ", %d free", free)
	runs := make([]string, 0, len(busy))
	for id, names := range busy {
		slices.Sort(names)
		runs = append(runs, fmt.Sprintf("%s busy with run %s", strings.Join(names, ", "), id))
	}
	slices.Sort(runs)
	for _, r := range runs {
		b.WriteString("; " + r)
	}
	if len(busy) == 0 && free == 0 {
		b.WriteString("; start one with: worker --join ADDR")
	}
	return b.String()
}

// Adopt marks a life of a worker as belonging to a run, whether it is connected or not: a new leader
// does so for the workers that the run record names, before it serves any. What a worker was silent
// counts from then on, for its last lease may have been granted just before; for as long as another one lasts,
// nobody else gets its name. A later life of the worker is left alone. The lease is granted with each of its
// heartbeats: it goes on with what it was told by an earlier leader, which the record holds.
func (f *Fleet) Adopt(w run.Member, instance, runID string, lease time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.members[w.Worker]
	if !ok || m.info.Incarnation < w.Incarnation {
		m = &member{info: Worker{Name: w.Worker, Incarnation: w.Incarnation, Instance: instance}, lastHeard: f.opts.Clock()}
		f.members[w.Worker] = m
	}
	if m.info.Incarnation == w.Incarnation {
		m.info.Run, m.lease = runID, lease
	}
}

// Renew ends the session of a life of a worker, so that it introduces itself again.
func (f *Fleet) Renew(who run.Member) {
	f.living(who, func(m *member) {
		if m.session != nil {
			m.session.end(errRenewed)
		}
	})
}

// Release frees a run's workers and tells them to do nothing.
func (f *Fleet) Release(runID string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.caretaker {
		return
	}
	for name, m := range f.members {
		if m.info.Run != runID {
			continue
		}
		m.info.Run, m.lease, m.assignment = "", 0, nil
		if m.session != nil {
			m.session.box.assign(wire.Assignment{})
		} else if m.info.Attached.IsZero() {
			delete(f.members, name) // it was adopted, and never came
		}
	}
}

// Assign tells a worker what to do now; it is told again after every reconnect. The lease is what
// each of its heartbeats is granted from then on. Another life of the worker is told nothing: what is
// this one's may be with others by the time that the caller hears of the next.
func (f *Fleet) Assign(to run.Member, a wire.Assignment, lease time.Duration) {
	f.living(to, func(m *member) {
		if f.caretaker {
			return
		}
		m.assignment, m.lease = &a, lease
		if m.session != nil {
			m.session.box.assign(a)
		}
	})
}

// Retire ends a life of a worker whose process goes on: it was given up, and has told all that it did. It attaches
// again, as a new life that may have a part in any run.
func (f *Fleet) Retire(who run.Member) {
	f.living(who, func(m *member) {
		m.info.Run, m.lease, m.assignment, m.retired = "", 0, nil, true
		if m.session != nil {
			m.session.end(errRenewed)
		}
	})
}

// Dismiss frees one worker of its run: it has told all that it did.
func (f *Fleet) Dismiss(who run.Member) {
	f.living(who, func(m *member) {
		m.info.Run, m.lease, m.assignment = "", 0, nil
		if m.session != nil {
			m.session.box.assign(wire.Assignment{})
		}
	})
}

// Ack tells a worker which of its batches are committed. A worker that is away learns it when it
// attaches again.
func (f *Fleet) Ack(name string, marks []wire.Mark) {
	f.with(name, func(m *member) {
		if m.session != nil && !f.caretaker {
			m.session.box.ack(marks)
		}
	})
}

// Nack refuses a batch of a worker.
func (f *Fleet) Nack(name string, n wire.Nack) {
	f.with(name, func(m *member) {
		if m.session != nil && !f.caretaker {
			m.session.box.send(nackMessage(n))
		}
	})
}

// Task has a worker run setup or teardown. ErrNotConnected says that it was not sent: that life of the
// worker has no session.
func (f *Fleet) Task(to run.Member, t wire.Task) error {
	err := fmt.Errorf("task %s for worker %s: %w", t.Kind, to.Worker, ErrNotConnected)
	f.living(to, func(m *member) {
		if m.session != nil && !f.caretaker {
			m.session.box.send(taskMessage(t))
			err = nil
		}
	})
	return err
}

// Close ends every session with err: the term is over.
func (f *Fleet) Close(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for _, m := range f.members {
		if m.session != nil {
			m.session.end(err)
		}
	}
}

func (f *Fleet) with(name string, fn func(*member)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m, ok := f.members[name]; ok {
		fn(m)
	}
}

// living calls fn if the worker is still in the same life.
func (f *Fleet) living(w run.Member, fn func(*member)) {
	f.with(w.Worker, func(m *member) {
		if m.info.Incarnation == w.Incarnation {
			fn(m)
		}
	})
}

func newSessionID() string { return uuid.NewString() }
