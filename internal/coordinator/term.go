package coordinator

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	etcdversion "go.etcd.io/etcd/api/v3/version"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"proofload/internal/api"
	"proofload/internal/clock"
	"proofload/internal/fleet"
	"proofload/internal/lease"
	"proofload/internal/result"
	"proofload/internal/run"
	"proofload/internal/supervisor"
	"proofload/internal/wire"
)

const heartbeatEvery = time.Second

// elect stands for leadership until ctx ends.
func (c *Coordinator) elect(ctx context.Context) error {
	ttl := lease.DefaultTTL
	if c.etcd != nil {
		ttl = lease.EmbeddedTTL
	}
	candidate, err := lease.NewCandidate(lease.Options{
		Client: c.client, Name: c.opts.Name, Address: c.opts.Advertise, TTL: ttl, Logger: c.opts.Logger,
	})
	if err != nil {
		return err
	}
	var once sync.Once
	err = candidate.Run(ctx, func(ctx context.Context, term *lease.Term) error {
		return c.lead(ctx, term, func() { once.Do(func() { close(c.leading) }) })
	})
	if ctx.Err() != nil {
		err = nil // it ended because it was told to
	}
	return err
}

// lead conducts one term. What is over is given up at once, but for a term that was lost: as its caretaker
// this coordinator keeps workers and views until another leader is known.
func (c *Coordinator) lead(ctx context.Context, term *lease.Term, ready func()) (err error) {
	taken, over := c.watch.Term(ctx, c.opts.Name, term.Epoch())
	defer func() { over(err) }()
	leader := wire.Leader{Name: c.opts.Name, Address: c.opts.Advertise, Epoch: term.Epoch()}
	heads := newHeads(term, c.watch)
	repository := result.NewRepository(heads, c.blobs)
	if !c.hasStore(ctx, repository) {
		return lease.ErrResign
	}
	var halted *halting // set before the manager runs
	manager := supervisor.New(supervisor.Options{
		Logger: c.opts.Logger, Heads: heads, Blobs: c.blobs, Repository: repository, Clock: clock.Nanos,
		Wall: c.opts.Wall, Secret: c.opts.Secret, CommitEvery: c.opts.commitEvery(), Leader: leader,
		Lift:    func() wire.Lift { return halted.lift() },
		Halted:  func() bool { _, ok := halted.halted(); return ok },
		Process: c.process, Version: c.opts.Version, EtcdVersion: etcdversion.Version, Callbacks: append(slices.Clone(c.opts.Callbacks), c.traced),
	})
	if halted, err = c.takeOverHalt(ctx, heads, manager); err != nil {
		if ctx.Err() != nil || errors.Is(err, result.ErrFenced) {
			return err
		}
		c.log.Error("resigning", "error", err) // etcd does not answer who leads: nothing that ends a coordinator
		return lease.ErrResign
	}
	f := fleet.New(fleet.Options{
		Logger: c.opts.Logger, Leader: leader, Cluster: c.cluster, Clock: clock.Nanos, Heartbeat: heartbeatEvery,
		Incarnation: func(ctx context.Context) (int64, error) { return term.Incarnation(ctx, "") },
		Leading:     func() bool { return term.Check() == nil },
		File:        files{c.blobs}.GetFile, Handler: manager,
	})
	back := &backend{manager: manager, fleet: f, repository: repository, heads: heads, files: files{c.blobs}, leader: leader, coordinator: c, halting: halted}
	ctx, resign := context.WithCancelCause(ctx)
	wait := c.attend(ctx, back, func() { resign(lease.ErrResign) })
	end := func(bool) {}
	err = manager.Run(ctx, f, func() {
		halted.enforceNow() // what was taken over ends at once, and not with the next tick
		end = c.serveTerm(back)
		c.log.Info("leading", "name", c.opts.Name, "epoch", term.Epoch(), "address", c.opts.Advertise)
		taken()
		ready()
	})
	cause := context.Cause(ctx)
	resign(nil)
	wait()
	c.health.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	end(errors.Is(cause, lease.ErrLeadershipLost))
	return c.ended(cause, err)
}

// ended is how a term ends whose manager has: what another leader may do better ends no coordinator.
func (c *Coordinator) ended(cause, err error) error {
	switch {
	case errors.Is(cause, lease.ErrResign):
		return lease.ErrResign
	case errors.Is(err, supervisor.ErrRunsUnknown):
		c.log.Error("resigning", "error", err)
		return lease.ErrResign
	case errors.Is(err, context.Canceled):
		return nil
	}
	return err
}

// takeOverHalt reads whether the cluster is halted. A run on this machine is one by itself: what was halted is over.
func (c *Coordinator) takeOverHalt(ctx context.Context, h heads, runs conductor) (*halting, error) {
	x := &halting{heads: h, runs: runs, kept: c.halts, learnt: c.book.learn, log: c.log, wall: c.opts.Wall}
	err := x.open(ctx)
	if _, ok := x.halted(); ok && err == nil && c.opts.OwnWorkers {
		_, _, err = x.unhalt(ctx, ulid.Make().String())
	}
	return x, err
}

// attend does what goes on beside the runs of a term until ctx ends; wait returns when all of it has.
func (c *Coordinator) attend(ctx context.Context, b *backend, resign func()) (wait func()) {
	var doing sync.WaitGroup
	doing.Go(func() {
		if c.deaf(ctx, b.fleet) {
			resign()
		}
	})
	doing.Go(func() {
		if !c.claimStore(ctx, b.repository, b.heads) {
			resign()
		}
	})
	doing.Go(func() { b.halting.enforce(ctx) })
	return doing.Wait
}

// serveTerm answers workers and clients from a term until the returned function is called; lost says that
// leadership was lost and not given up.
func (c *Coordinator) serveTerm(b *backend) (end func(lost bool)) {
	stopWorkers, keepWorkers := c.workers.Lead(b.fleet)
	stopAPI := c.api.Lead(&api.Backend{Conductor: b, Archive: b, Files: b.files, Cluster: b}, b.leader)
	stopRelay := c.relay.Lead()
	stopGauges := c.gauges.lead(b.manager, b.fleet)
	c.standing.keep(nil)
	c.standing.holds(b)
	c.health.SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
	return func(lost bool) {
		c.standing.holds(nil)
		stopGauges()
		if lost {
			k := newCaretaker(b, time.Now())
			keepWorkers()
			stopAPI(k.shown())
			c.standing.keep(k)
		} else {
			stopWorkers()
			stopAPI(nil)
		}
		stopRelay()
	}
}

// traced shows the lives of runs in traces.
func (c *Coordinator) traced(_ context.Context, n supervisor.Notification) error {
	c.watch.Run(n.Kind, n.Run)
	return nil
}

// gauges are the coordinator's own metrics. They are read when they are asked for.
type gauges struct {
	registry *prometheus.Registry
	mu       sync.Mutex
	manager  *supervisor.Manager
	fleet    *fleet.Fleet
}

func newGauges() *gauges {
	g := &gauges{registry: prometheus.NewRegistry()}
	gauge := func(name, help string, fn func() float64) {
		g.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "proofload", Name: name, Help: help}, fn))
	}
	gauge("coordinator_leader", "1 while this coordinator leads.", func() float64 {
		m, _ := g.now()
		if m == nil {
			return 0
		}
		return 1
	})
	gauge("runs_active", "Runs that have not ended.", func() float64 {
		if m, _ := g.now(); m != nil {
			return float64(len(m.Active()))
		}
		return 0
	})
	g.registry.MustRegister(workersCollector{g}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return g
}

func (g *gauges) lead(m *supervisor.Manager, f *fleet.Fleet) (stop func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.manager, g.fleet = m, f
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.manager, g.fleet = nil, nil
	}
}

func (g *gauges) now() (*supervisor.Manager, *fleet.Fleet) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.manager, g.fleet
}

var (
	workersDesc  = prometheus.NewDesc("proofload_workers", "Workers known to the leader.", []string{"state"}, nil)
	runsDesc     = prometheus.NewDesc("proofload_runs", "Runs that have not ended, by state.", []string{"state"}, nil)
	notSentDesc  = prometheus.NewDesc("proofload_run_arrivals_not_sent", "Arrivals of a live run that were given up so far, by cause; provisional.", []string{"run", "scenario", "cause"}, nil)
	lagDesc      = prometheus.NewDesc("proofload_run_schedule_lag_seconds", "99th percentile of how far behind their schedule arrivals were started, over the last 5 s.", []string{"run", "scenario"}, nil)
	arrivalsDesc = prometheus.NewDesc("proofload_run_arrivals", "Arrivals of a live run so far; provisional.", []string{"run", "scenario", "outcome"}, nil)
	unsentDesc   = prometheus.NewDesc("proofload_run_requests_unsent", "Requests of a live run that never left so far, and not because of the target; provisional.", []string{"run", "scenario"}, nil)
	requestsDesc = prometheus.NewDesc("proofload_run_requests", "Requests of a live run that have ended so far; provisional.", []string{"run", "scenario", "outcome"}, nil)
)

// workersCollector shows the fleet and the live runs.
type workersCollector struct{ g *gauges }

// Describe implements prometheus.Collector.
func (w workersCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- workersDesc
	ch <- runsDesc
	ch <- notSentDesc
	ch <- lagDesc
	ch <- arrivalsDesc
	ch <- requestsDesc
	ch <- unsentDesc
}

// Collect implements prometheus.Collector.
func (w workersCollector) Collect(ch chan<- prometheus.Metric) {
	m, f := w.g.now()
	if m == nil {
		return
	}
	counts := map[string]float64{"free": 0, "busy": 0, "draining": 0, "lost": 0}
	for _, worker := range f.Workers() {
		counts[workerState(worker)]++
	}
	for state, n := range counts {
		ch <- prometheus.MustNewConstMetric(workersDesc, prometheus.GaugeValue, n, state)
	}
	active := m.Active()
	runsByState(ch, active)
	for _, v := range active {
		if v.Progress == nil {
			continue
		}
		ch <- prometheus.MustNewConstMetric(lagDesc, prometheus.GaugeValue, v.Progress.Window.Lag.Seconds(), v.Run.ID, v.Run.Name)
		for cause, n := range v.Progress.Load.NotSent {
			ch <- prometheus.MustNewConstMetric(notSentDesc, prometheus.CounterValue, float64(n), v.Run.ID, v.Run.Name, cause)
		}
		l := v.Progress.Load
		for outcome, n := range map[string]int64{"planned": l.Planned, "sent": l.Sent, "succeeded": l.Succeeded, "failed": l.Failed} {
			ch <- prometheus.MustNewConstMetric(arrivalsDesc, prometheus.CounterValue, float64(n), v.Run.ID, v.Run.Name, outcome)
		}
		for outcome, n := range map[string]int64{"ok": l.Requests - l.Errors, "failed": l.Errors} {
			ch <- prometheus.MustNewConstMetric(requestsDesc, prometheus.CounterValue, float64(n), v.Run.ID, v.Run.Name, outcome)
		}
		ch <- prometheus.MustNewConstMetric(unsentDesc, prometheus.CounterValue, float64(l.Unsent), v.Run.ID, v.Run.Name)
	}
}

// runsByState shows every state that is not final, those without runs included.
func runsByState(ch chan<- prometheus.Metric, active []wire.RunView) {
	counts := map[run.State]float64{}
	for _, v := range active {
		counts[v.Run.State]++
	}
	for _, s := range run.States() {
		if !s.Final() {
			ch <- prometheus.MustNewConstMetric(runsDesc, prometheus.GaugeValue, counts[s], string(s))
		}
	}
}
