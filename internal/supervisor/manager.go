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

	"proofload/internal/fleet"
	"proofload/internal/result"
	"proofload/internal/result/blob"
	"proofload/internal/run"
	"proofload/internal/scenario"
	"proofload/internal/wire"
)

// ErrNotLive says that a run is not conducted now: it has ended, or is not known.
var ErrNotLive = errors.New("run is not live")

// Options are what a Manager needs; all fields but Callbacks and Local are required.
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
	// Version of the program and of etcd, for reports.
	Version, EtcdVersion string
	// Local says that the only worker lives in this process: the least lead time will do.
	Local bool
	// Callbacks are called on start, pause, resume, stop, complete and error, at least once each, one
	// after the other and in order. A slow one delays the next ones and no run.
	Callbacks []func(run.CallbackKind, run.Run)
}

// Fleet is what a Manager needs of the workers; *fleet.Fleet is one. It is as large as it is because
// a run does all of this with each of its workers.
type Fleet interface {
	// Reserve takes free workers for a run, or says why it cannot.
	Reserve(runID string, match map[string]string, least int) (taken []fleet.Worker, why string)
	// Release frees the workers of a run.
	Release(runID string)
	// Worker returns what is known of a worker now.
	Worker(name string) (fleet.Worker, bool)
	Assign(to run.Member, a wire.Assignment, lease time.Duration)
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

	mu      sync.Mutex
	runners map[string]*runner
	queue   []string // runs in IDLE, oldest first
	group   *errgroup.Group
	ctx     context.Context
	closed  bool
}

// New returns a manager; Run makes it work.
func New(opts Options) *Manager {
	return &Manager{opts: opts, log: opts.Logger.Named("supervisor"), runners: map[string]*runner{}, calls: newMailbox()}
}

// Run conducts runs until ctx ends or the term is over; then it returns why. The runs that it finds
// active are taken over first. ready is called when the manager takes requests.
func (m *Manager) Run(ctx context.Context, f Fleet, ready func()) error {
	group, groupCtx := errgroup.WithContext(ctx)
	m.mu.Lock()
	m.fleet, m.group, m.ctx = f, group, groupCtx
	m.mu.Unlock()
	// Held open from the start, so that runs can be launched at any time until it closes.
	group.Go(func() error {
		<-groupCtx.Done()
		m.mu.Lock()
		defer m.mu.Unlock()
		m.closed = true
		return nil
	})
	if err := m.takeOver(groupCtx); err != nil {
		group.Go(func() error { return err })
		return group.Wait()
	}
	ready()
	over := make(chan struct{})
	var calls sync.WaitGroup
	calls.Go(func() { m.callback(over) })
	defer calls.Wait()
	defer close(over)
	err := group.Wait()
	if err == nil {
		err = context.Cause(ctx)
	}
	return err
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
		m.queue = append(m.queue, r.id)
	}
	m.group.Go(func() error {
		err := r.loop(m.ctx)
		m.mu.Lock()
		delete(m.runners, r.id)
		m.queue = slices.DeleteFunc(m.queue, func(id string) bool { return id == r.id })
		m.mu.Unlock()
		m.fleet.Release(r.id)
		m.nudge()
		return err
	})
}

// Accepted is a scenario that was read and found valid.
type Accepted struct {
	ID           string // of the run
	RequestID    string
	Plan         *scenario.Plan
	PlanDigest   string // under which the plan is stored
	Files        map[string]string
	QueueTimeout time.Duration // 0: for ever
}

// Create records a run and puts it into the queue. The same request id again returns the run that
// was created first.
func (m *Manager) Create(ctx context.Context, a Accepted) (run.Run, error) {
	rec := run.New(run.Options{
		ID: a.ID, Name: a.Plan.Name, Environment: a.Plan.Environment, Labels: a.Plan.Labels, RequestID: a.RequestID,
		Scenario: a.Plan.ScenarioSHA256, Plan: a.PlanDigest, Files: a.Files,
		HasSetup: len(a.Plan.Setup) > 0, HasTeardown: len(a.Plan.Teardown) > 0,
		Reason: "accepted", Time: m.opts.Wall(),
	})
	created, fresh, err := m.opts.Repository.Create(ctx, m.opts.Heads, rec)
	if err != nil || !fresh {
		return created, err
	}
	r, err := m.open(ctx, rec.ID)
	if err != nil {
		return run.Run{}, err
	}
	r.queueTimeout = a.QueueTimeout
	m.launch(r)
	m.nudge()
	return created, nil
}

// nudge makes the oldest waiting runs look for workers again.
func (m *Manager) nudge() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range m.queue {
		if r := m.runners[id]; r != nil {
			r.mail.post(r.seekWorkers)
		}
	}
}

// mayStart reports whether no run that waits longer wants the same workers: runs get workers in the
// order in which they were accepted, but one that cannot start holds up only those that compete with it.
func (m *Manager) mayStart(id string, match map[string]string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, before := range m.queue {
		if before == id {
			return true
		}
		if other := m.runners[before]; other != nil && overlap(match, other.plan.Workers.Match) {
			return false
		}
	}
	return true
}

// overlap reports whether a worker could carry the labels of both.
func overlap(a, b map[string]string) bool {
	for name, value := range a {
		if other, ok := b[name]; ok && other != value {
			return false
		}
	}
	return true
}

// started takes a run out of the queue.
func (m *Manager) started(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queue = slices.DeleteFunc(m.queue, func(q string) bool { return q == id })
}

// live returns the runner of a run.
func (m *Manager) live(id string) (*runner, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.runners[id]; ok && !m.closed {
		return r, nil
	}
	return nil, fmt.Errorf("run %s: %w", id, ErrNotLive)
}

// Command applies a command to a live run and returns the run once it is recorded. A repeated id is
// the same command.
func (m *Manager) Command(ctx context.Context, id string, ev run.Event) (run.Run, error) {
	r, err := m.live(id)
	if err != nil {
		return run.Run{}, err
	}
	if ev.Kind == run.ScaleRequested {
		ev.MaxFactor = maxFactor(r.plan)
	}
	type answer struct {
		run run.Run
		err error
	}
	reply := make(chan answer, 1)
	r.mail.post(func() {
		r.command(ev, func(rec run.Run, err error) { reply <- answer{rec, err} })
	})
	select {
	case a := <-reply:
		return a.run, a.err
	case <-r.done:
		return run.Run{}, fmt.Errorf("run %s: %w", id, ErrNotLive)
	case <-ctx.Done():
		return run.Run{}, context.Cause(ctx)
	}
}

// maxFactor is how far the environment's limits let a plan be scaled; 0: as far as anybody likes.
func maxFactor(p *scenario.Plan) float64 {
	rate, users := p.Peak()
	most := 0.0
	for _, pair := range [][2]float64{{p.Limits.Rate, rate}, {p.Limits.Users, users}} {
		if limit, peak := pair[0], pair[1]; limit > 0 && peak > 0 && (most == 0 || limit/peak < most) {
			most = limit / peak
		}
	}
	return most
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

// Attached implements fleet.Handler.
func (m *Manager) Attached(w fleet.Worker, hello wire.Hello) []wire.Mark {
	var marks []wire.Mark
	for _, o := range hello.Outbox {
		marks = append(marks, m.mark(w, o))
	}
	if w.Run != "" {
		if r, err := m.live(w.Run); err == nil {
			r.mail.post(func() { r.attached(w, hello) })
		}
	}
	m.nudge()
	return marks
}

// mark says through which batch a sequence is committed; a run that is not live is closed.
func (m *Manager) mark(w fleet.Worker, o wire.OutboxState) wire.Mark {
	mark := wire.Mark{Run: o.Run, Incarnation: o.Incarnation}
	r, err := m.live(o.Run)
	if err != nil {
		mark.Closed = true
		return mark
	}
	mark.Through = r.view.committed(w.Name, o.Incarnation)
	return mark
}

// Detached implements fleet.Handler.
func (m *Manager) Detached(w fleet.Worker, reason string, goodbye bool) {
	if w.Run == "" {
		return
	}
	if r, err := m.live(w.Run); err == nil {
		r.mail.post(func() { r.detached(w, reason, goodbye) })
	}
}

// Received implements fleet.Handler.
func (m *Manager) Received(w fleet.Worker, msg wire.Upward) {
	id := wire.RunOf(msg)
	r, err := m.live(id)
	if err == nil {
		r.mail.post(func() { r.received(w, msg) })
		return
	}
	if b, ok := msg.(wire.Sealed); ok {
		m.fleet.Nack(w.Name, wire.Nack{
			Run: b.Run, Incarnation: b.Incarnation, Want: b.Seq, Reason: wire.NackClosed,
			Message: "run is closed: a closed run is never amended",
		})
	}
	if f, ok := msg.(wire.Final); ok {
		m.fleet.Ack(w.Name, []wire.Mark{{Run: f.Run, Incarnation: f.Incarnation, Through: f.LastSeq, Closed: true}})
	}
}
