package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"proofload/internal/run"
	"proofload/internal/wire"
)

// Options are what an Agent needs. Name, Addresses, DataDir, Clock, Credentials and Logger are required.
type Options struct {
	Name        string            // unique within the fleet
	Addresses   []string          // of coordinators, host:port
	Labels      map[string]string // that scenarios select workers by
	Capacity    float64           // relative share of the load; 0: 1
	DataDir     string            // made if absent; belongs to one worker
	Version     string            // of the program
	Hostname    string
	MemoryBytes uint64
	// Clock is the machine's monotonic clock in nanoseconds; it must go on while the machine sleeps.
	Clock func() int64
	// Instant is Clock, with the same instant for time spans; nil: that is read apart.
	Instant func() (int64, time.Time)
	// Boot names the time during which the readings of Clock can be compared, also by another process;
	// empty: only this process can.
	Boot        string
	Host        Host // measures the machine each second; nil: not measured
	Credentials credentials.TransportCredentials
	Dial        []grpc.DialOption // further options, for tests and tracing
	OutboxLimit int64             // bytes of un-acked batches; 0: 64 MiB
	Fsync       bool              // force every batch to disk
	// Lives is told the worker's life at each welcome, before anything is done for the coordinator; it should
	// not block. nil: nobody is told.
	Lives func(Life)
	// AllowProgram says why a program may not be run here; nil: none may.
	AllowProgram func(path string) error
	Logger       hclog.Logger
}

// Life is what a coordinator knows this process by.
type Life struct {
	Instance, Nonce string
	Incarnation     int64
	Cluster         uint64
	Leader          string // address of the leader that gave it
}

// Agent is one worker. Use New and then Run once.
type Agent struct {
	opts   Options
	log    hclog.Logger
	id     *identity
	outbox *Outbox
	link   *link
	clocks clockFile

	mu      sync.Mutex
	wanted  wire.Assignment
	current *work
	change  chan struct{} // capacity 1: wanted has changed
	failed  chan error    // capacity 1: why the agent cannot go on
	leases  lease
	granted int64 // reading of the clock when a lease was granted last
	since   int64 // from when on leases are of the run that is wanted
	counts  counts
}

// lease is what the last answered heartbeat granted, and what it told of the leader's clock.
type lease struct {
	until  int64 // on Options.Clock; 0: nothing granted
	sent   int64 // when the heartbeat was sent that is answered
	epoch  int64 // of the leader
	leader run.Offset
	known  bool // leader is an estimate
}

// New opens the data directory and the outbox. The caller must Close the agent.
func New(opts Options) (*Agent, error) {
	if opts.Capacity == 0 {
		opts.Capacity = 1
	}
	id, err := openIdentity(opts.DataDir)
	if err != nil {
		return nil, err
	}
	outbox, err := OpenOutbox(OutboxOptions{Dir: filepath.Join(opts.DataDir, "outbox"), Limit: opts.OutboxLimit, Fsync: opts.Fsync})
	if err != nil {
		return nil, errors.Join(err, id.Close())
	}
	a := &Agent{
		opts: opts, log: opts.Logger.Named("worker").With("worker_id", opts.Name), id: id,
		clocks: clockFile{path: filepath.Join(opts.DataDir, "clock"), boot: opts.Boot},
		outbox: outbox, change: make(chan struct{}, 1), failed: make(chan error, 1),
	}
	a.link = &link{
		opts: opts, log: a.log.Named("link"), id: id, outbox: outbox, to: a,
		dial: &dialer{addresses: opts.Addresses, creds: opts.Credentials, extra: opts.Dial},
		wake: make(chan struct{}, 1), beat: make(chan struct{}, 1), leaving: make(chan struct{}),
	}
	a.link.files, err = newFiles(filepath.Join(opts.DataDir, "files"), a.link.Ask)
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// Close releases the data directory. It must not be called before Run has returned.
func (a *Agent) Close() error { return errors.Join(a.outbox.Close(), a.id.Close()) }

// Run attaches and works until ctx ends or the coordinator drains the worker; work in flight is
// then given Assignment.Drain to finish. It returns nil for an end on purpose.
func (a *Agent) Run(ctx context.Context) error {
	defer a.link.dial.close()
	linkCtx, endLink := context.WithCancel(context.WithoutCancel(ctx))
	defer endLink()
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		// The link outlives the work, so that the last batches still get out.
		defer endLink()
		return a.work(groupCtx)
	})
	group.Go(func() error {
		err := a.link.run(linkCtx)
		if err == nil && groupCtx.Err() == nil {
			return errDrained
		}
		return err
	})
	err := group.Wait()
	if errors.Is(err, errDrained) {
		return nil
	}
	return err
}

// work keeps what the agent does in step with what is wanted.
func (a *Agent) work(ctx context.Context) error {
	defer func() {
		if a.current != nil {
			a.current.close()
		}
	}()
	for {
		select {
		case <-a.change:
		case err := <-a.failed:
			return err
		case <-ctx.Done():
			if a.current != nil {
				a.current.drain()
			}
			return nil
		}
		a.mu.Lock()
		wanted := a.wanted
		a.mu.Unlock()
		if a.current != nil && (a.current.run != wanted.Run || a.current.incarnation != a.link.Incarnation()) {
			a.current.close()
			a.mu.Lock()
			a.current = nil
			a.mu.Unlock()
		}
		if wanted.Run == "" {
			a.link.leave()
			continue
		}
		if a.current == nil {
			a.adopt(newWork(ctx, a, wanted))
		}
		a.current.apply(wanted)
	}
}

// adopt makes w the work that leases are passed on to, and passes on the one that came while w was
// being made: the next comes only with the next heartbeat, and without a lease nothing starts.
func (a *Agent) adopt(w *work) {
	a.mu.Lock()
	a.current = w
	newest := a.leases
	a.mu.Unlock()
	w.lease(newest)
}

// giveUp ends the agent with an error; the first one counts.
func (a *Agent) giveUp(err error) {
	select {
	case a.failed <- err:
	default:
	}
}

// assigned implements receiver. An assignment of the run that is being executed is in force when it
// returns, so that the lease which may come next in the stream cannot start what was taken away.
func (a *Agent) assigned(next wire.Assignment) {
	a.mu.Lock()
	wanted, news := follow(a.wanted, next)
	if !news {
		a.mu.Unlock()
		return // overtaken
	}
	if wanted.Run != a.wanted.Run {
		a.forgetLease()
	}
	a.wanted = wanted
	leased := a.leases.until > a.opts.Clock()
	current := a.current
	a.mu.Unlock()
	if current != nil && current.run == wanted.Run {
		current.apply(wanted)
	}
	if wanted.Run != "" && !leased {
		a.link.Beat() // without a lease nothing may start: not a second may pass before it is asked for
	}
	select {
	case a.change <- struct{}{}:
	default:
	}
}

// halted implements receiver. What is not executed here is none of this worker's business, and what is stopped
// stays stopped for the reason that came first.
func (a *Agent) halted(h wire.Halt) {
	a.mu.Lock()
	stop := a.wanted.Stop
	told := a.wanted.Goal == wire.GoalStop
	lifted := h.Everything() && a.wanted.Lift.Covers(h.Order) // and kept by somebody who has not heard of that
	// An assignment may have told the same before, and not who asked.
	if !h.Means(a.wanted.Run) || lifted || told && (stop.Kind != h.Kind || stop.Alone || stop.Order != wire.Order{}) {
		a.mu.Unlock()
		return
	}
	a.wanted.Goal, a.wanted.Stop = wire.GoalStop, h.Stop()
	wanted, current := a.wanted, a.current
	a.mu.Unlock()
	a.log.Warn("told to end the load, by a stop that its leader may not have recorded", "run_id", wanted.Run, "kind", h.Kind, "reason", h.Reason, "asked_of", h.AskedOf)
	if current != nil && current.run == wanted.Run {
		current.apply(wanted)
	}
	select {
	case a.change <- struct{}{}:
	default:
	}
}

// forgetLease drops what was granted for another run, or for an earlier life: a lease is of one run, and no longer
// than what that run's scenario allows. mu is held.
func (a *Agent) forgetLease() {
	a.leases.until, a.granted, a.since = 0, 0, a.opts.Clock()
}

// reborn implements receiver: what an earlier life of this worker was told is over.
func (a *Agent) reborn() {
	a.mu.Lock()
	a.wanted = wire.Assignment{}
	a.forgetLease()
	a.mu.Unlock()
	select {
	case a.change <- struct{}{}:
	default:
	}
}

// tasked implements receiver.
func (a *Agent) tasked(t wire.Task) {
	a.mu.Lock()
	w := a.current
	a.mu.Unlock()
	if w == nil || w.run != t.Run || !w.task(t) {
		a.link.Result(wire.TaskResult{ID: t.ID, Run: t.Run, Error: "worker is not prepared for the run"})
	}
}

// leased implements receiver.
func (a *Agent) leased(l lease) {
	a.mu.Lock()
	if l.sent < a.since {
		l.until = 0 // it was granted for what was wanted before
	}
	if l.until > 0 {
		a.granted = a.opts.Clock()
	}
	l.until = max(l.until, a.leases.until)
	a.leases = l
	w := a.current
	a.mu.Unlock()
	if w != nil {
		w.lease(l)
	}
}

// runTime implements receiver.
func (a *Agent) runTime(reading int64) (string, time.Duration, bool) {
	a.mu.Lock()
	w := a.current
	a.mu.Unlock()
	if w == nil {
		return "", 0, false
	}
	at, ok := w.clock.since(reading)
	return w.run, at, ok
}

// drained implements receiver.
func (a *Agent) drained(reason string) {
	a.log.Info("told to drain", "reason", reason)
	a.mu.Lock()
	idle := a.wanted.Run == ""
	a.mu.Unlock()
	if !idle {
		// The leader that says so hands the load over by itself. One that comes after it has to be told.
		a.link.Leave(reason)
	}
	a.link.drain(idle)
}

// hello returns the constant part of the introduction.
func (o Options) hello() wire.Hello {
	return wire.Hello{
		Protocol: wire.ProtocolVersion, Name: o.Name, Version: o.Version, Labels: maps.Clone(o.Labels),
		Capacity: o.Capacity, CPUs: uint32(runtime.NumCPU()), MemoryBytes: o.MemoryBytes,
		Platform: runtime.GOOS + "/" + runtime.GOARCH, Hostname: o.Hostname,
	}
}

// Validate reports what is missing or impossible, all at once.
func (o Options) Validate() error {
	var errs []error
	if o.Name == "" {
		errs = append(errs, errors.New("a worker needs a name: give --name"))
	}
	if len(o.Addresses) == 0 || slices.Contains(o.Addresses, "") {
		errs = append(errs, errors.New("a worker needs a coordinator: give --join ADDR"))
	}
	if o.DataDir == "" {
		errs = append(errs, errors.New("a worker needs a data directory: give --data-dir"))
	}
	if o.Name != "" && !nameRule.MatchString(o.Name) {
		errs = append(errs, fmt.Errorf("--name %q: a name is at most 128 letters, digits, dots, dashes and underscores, and begins with a letter or a digit", o.Name))
	}
	if !(o.Capacity >= 0) || o.Capacity > maxCapacity { // also not a number
		errs = append(errs, fmt.Errorf("--capacity %v: it must be above 0, and %d at most", o.Capacity, maxCapacity))
	}
	if len(o.Labels) > maxLabels {
		errs = append(errs, fmt.Errorf("%d labels: %d are the most", len(o.Labels), maxLabels))
	}
	return errors.Join(errs...)
}

// What a coordinator takes in a hello, as worker_service.proto says.
const (
	maxCapacity = 1_000_000
	maxLabels   = 64
)

var nameRule = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
