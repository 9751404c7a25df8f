package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"proofload/internal/fleet"
	"proofload/internal/result"
	"proofload/internal/result/blob"
	"proofload/internal/run"
	"proofload/internal/wire"
)

// ErrNotLive says that a run is not conducted now: it has ended, or is not known.
var ErrNotLive = errors.New("run is not live")

// ErrRunsUnknown says that etcd did not answer which runs there are. Another leader may be answered.
var ErrRunsUnknown = errors.New("runs not taken over")

// ErrTakingOver says that a run has not ended, and that this term has not read yet what is stored of it.
var ErrTakingOver = errors.New("run is being taken over")

// ErrElsewhere says that a run has not ended and is not conducted here any more: the term is over.
var ErrElsewhere = errors.New("run is conducted elsewhere now")

// Options are what a Manager needs; all fields but Lift, Halted and Callbacks are required.
type Options struct {
	Logger     hclog.Logger
	Heads      result.Heads // of this term
	Blobs      blob.Replacer
	Repository *result.Repository
	Clock      func() int64     // monotonic, nanoseconds
	Wall       func() time.Time // for labels
	// Secret returns the value of a secret; what it returns never reaches a log or a result.
	Secret func(name string) (string, bool)
	// CommitEvery is the time between commits of samples: 1 s on files, 2 s and more on object stores.
	CommitEvery time.Duration
	// Leader names this coordinator and its term in reports.
	Leader wire.Leader
	// Process identifies this process if the workers live in it, so that they end with it; empty: they
	// are processes of their own.
	Process string
	// Lift returns the newest lifting of a halt, for the workers to know; nil: there is none.
	Lift func() wire.Lift
	// Halted reports whether nothing may begin; nil: it may. After it has become false, Seek is to be called.
	Halted func() bool
	// Version of the program and of etcd, for reports.
	Version, EtcdVersion string
	// Callbacks are called on start, pause, resume, stop, complete and error, at least once each, one
	// after the other and in order. A slow one delays the next ones and the load of no run.
	Callbacks []Callback
}

// Fleet is what a Manager needs of the workers; *fleet.Fleet is one. It is as large as it is because
// a run does all of this with each of its workers.
type Fleet interface {
	// Reserve takes free workers for a run, or says why it cannot.
	Reserve(runID string, match map[string]string, least int) (taken []fleet.Worker, why string)
	// Adopt marks a life of a worker as belonging to a run that an earlier term conducted, and grants it a lease.
	Adopt(w run.Member, instance, runID string, lease time.Duration)
	// Renew has a worker attach again.
	Renew(who run.Member)
	// Release frees the workers of a run.
	Release(runID string)
	// Worker returns what is known of a worker now.
	Worker(name string) (fleet.Worker, bool)
	Assign(to run.Member, a wire.Assignment, lease time.Duration)
	// Retire ends a life of a worker that was given up, so that its process begins another one.
	Retire(who run.Member)
	// Dismiss frees one worker of its run.
	Dismiss(who run.Member)
	Ack(name string, marks []wire.Mark)
	Nack(name string, n wire.Nack)
	Task(to run.Member, t wire.Task) error
}

var _ Fleet = (*fleet.Fleet)(nil)

// Manager conducts the runs of one term. It is a fleet.Handler. All methods may be called
// concurrently.
type Manager struct {
	opts  Options
	log   hclog.Logger
	fleet Fleet
	calls *mailbox // of Callbacks
	queue queue

	mu      sync.Mutex
	runners map[string]*runner
	strays  map[stray]bool
	left    []*runner // whose runs have not ended, but the term has
	keeping *Caretaker
	group   *errgroup.Group
	ctx     context.Context
	closed  bool
	unread  map[string]bool // runs of earlier terms that are not in hand yet, for the store has not told of them

	began int64 // when the term did; set before there is a run

	admitting singleflight.Group // by run: none is opened twice
}

// New returns a manager; Run makes it work.
func New(opts Options) *Manager {
	return &Manager{opts: opts, log: opts.Logger.Named("supervisor"), runners: map[string]*runner{}, strays: map[stray]bool{}, calls: newMailbox(), unread: map[string]bool{}}
}

// Run conducts runs until ctx ends or the term is over; then it returns why. The runs that it finds
// active are taken over first. ready is called when the manager takes requests.
func (m *Manager) Run(ctx context.Context, f Fleet, ready func()) error {
	group, groupCtx := errgroup.WithContext(ctx)
	m.mu.Lock()
	m.fleet, m.group, m.ctx, m.began = f, group, groupCtx, m.opts.Clock()
	m.mu.Unlock()
	// Held open from the start, so that runs can be launched at any time until it closes.
	group.Go(func() error {
		<-groupCtx.Done()
		m.mu.Lock()
		defer m.mu.Unlock()
		m.closed = true
		return nil
	})
	group.Go(func() error {
		m.callback(groupCtx)
		return nil
	})
	if err := m.takeOver(groupCtx); err != nil {
		group.Go(func() error { return err })
		return group.Wait()
	}
	ready()
	err := group.Wait()
	if err == nil {
		err = context.Cause(ctx)
	}
	return err
}

// start does something in the background for as long as the term lasts.
func (m *Manager) start(work func(ctx context.Context) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.group.Go(func() error { return work(m.ctx) })
	}
}

// launch registers a runner and starts its goroutine. At the end of the term it does nothing: the run
// is recorded, and the next term finds it.
func (m *Manager) launch(r *runner) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	m.runners[r.id] = r
	if r.run.State == run.Idle {
		m.queue.join(r)
	}
	m.group.Go(func() error {
		err := r.loop(m.ctx)
		m.mu.Lock()
		delete(m.runners, r.id)
		if !r.over && !r.stored.State.Final() {
			m.left = append(m.left, r)
		}
		m.mu.Unlock()
		r.view.close()
		close(r.done)
		if r.over {
			m.fleet.Release(r.id) // at the end of a term the workers go on: the next one has them
		}
		m.queue.leave(r) // also one that waits on in the next term
		m.queue.nudge()
		return err
	})
}

// Seek makes the runs that wait for workers look for them.
func (m *Manager) Seek() { m.queue.nudge() }

// live returns the runner of a run.
func (m *Manager) live(id string) (*runner, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.runners[id]; ok && !m.closed {
		return r, nil
	}
	return nil, fmt.Errorf("run %s: %w", id, ErrNotLive)
}

// Live returns a live run with its progress, or ErrNotLive.
func (m *Manager) Live(id string) (wire.RunView, error) {
	r, err := m.live(id)
	if err != nil {
		return wire.RunView{}, err
	}
	return r.view.snapshot(), nil
}

// Active returns the live runs, oldest first.
func (m *Manager) Active() []wire.RunView {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]wire.RunView, 0, len(m.runners))
	for _, r := range m.runners {
		out = append(out, r.view.snapshot())
	}
	slices.SortFunc(out, func(a, b wire.RunView) int { return strings.Compare(a.Run.ID, b.Run.ID) })
	return out
}
