package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"time"

	"proofload/internal/load/feed"
	"proofload/internal/load/flow"
	"proofload/internal/load/grpcload"
	"proofload/internal/load/httpload"
	"proofload/internal/load/httpload/http2load"
	"proofload/internal/load/httpload/http3load"
	"proofload/internal/load/mock"
	"proofload/internal/load/sockload"
	"proofload/internal/load/transport"
	"proofload/internal/load/wsload"
	"proofload/internal/metric"
	"proofload/internal/scenario"
)

// execution is what a runner keeps of its iterations.
type execution struct {
	it   flow.Iteration
	flow *flow.Flow // of row; it is the same for all of a phase's iterations, or nearly all
	row  *flowRow   // of the last job
}

// flows is the program of a plan: its flows over its targets, mocks and data.
type flows struct {
	engine     *Engine
	program    *flow.Program
	clients    map[string]httpClient
	webSockets map[string]*wsload.Client
	sockets    map[string]*sockload.Client
	grpc       map[string]*grpcload.Client
	dialers    []*transport.Dialer
	endpoints  map[string]httpload.Endpoint
	mocks      map[string]*mock.Server
	users      sessions
}

// Prepare compiles the flows, reads the data and starts the mocks. It must be called once, before
// Run, Setup and Teardown.
func (e *Engine) Prepare(ctx context.Context) error {
	p := &flows{
		engine: e, clients: map[string]httpClient{}, grpc: map[string]*grpcload.Client{}, webSockets: map[string]*wsload.Client{}, sockets: map[string]*sockload.Client{},
		endpoints: map[string]httpload.Endpoint{},
		mocks:     map[string]*mock.Server{},
	}
	if err := p.open(ctx); err != nil {
		return errors.Join(fmt.Errorf("prepare: %w", err), p.Close())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.program, e.prepared = p, true
	for _, phase := range e.phases {
		for _, f := range phase.flows {
			f.plain = p.plain(f.key.Flow)
		}
	}
	return nil
}

func (p *flows) open(ctx context.Context) error {
	plan := p.engine.opts.Plan
	if err := p.engine.opts.permit(); err != nil {
		return err
	}
	for name, m := range plan.Mocks {
		s, err := mock.New(ctx, m, mock.Options{Name: name, Seed: plan.Seed})
		if err != nil {
			return err
		}
		p.mocks[name] = s
	}
	for name, t := range plan.Targets {
		if err := p.target(name, t); err != nil {
			return err
		}
	}
	feeds := map[string]*feed.Set{}
	for name, d := range plan.Data {
		var content []byte
		if d.File() != "" {
			var err error
			if content, err = p.engine.opts.Files(d.Digest); err != nil {
				return err
			}
		}
		set, err := feed.New(name, d, content, plan.Seed)
		if err != nil {
			return err
		}
		feeds[name] = set
	}
	known := newMethods(p.engine.opts.Files, p.grpc)
	err := known.prepare(ctx, plan)
	if err != nil {
		return err
	}
	clients := map[string]flow.HTTPClient{}
	for name, c := range p.clients {
		clients[name] = c
	}
	p.program, err = flow.Compile(plan, flow.Options{
		Clients: clients, Endpoints: p.endpoints, GRPC: p.grpc, WebSockets: p.webSockets, Sockets: p.sockets, Method: known.find, Feeds: feeds, Secrets: p.engine.opts.Secrets, Files: p.engine.opts.Files,
	})
	return err
}

func (p *flows) target(name string, t scenario.Target) error {
	address := t.URL
	if t.Mock != "" {
		m, ok := p.mocks[t.Mock]
		if !ok {
			return fmt.Errorf("target %s: there is no mock %s", name, t.Mock)
		}
		address = m.URL()
	}
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("target %s: %w", name, err)
	}
	if err := p.connect(name, t, u); err != nil {
		return fmt.Errorf("target %s: %w", name, err)
	}
	return nil
}

// httpClient is the client of a target, in one version of HTTP.
type httpClient interface {
	flow.HTTPClient
	Close() error
}

// connect makes the client of a target, with the way to it.
func (p *flows) connect(name string, t scenario.Target, u *url.URL) error {
	opts := p.engine.opts
	cfg, err := transport.NewTLS(t.TLS, transport.Material{Files: opts.Files, Secrets: opts.Secrets})
	if err != nil {
		return err
	}
	dialer, err := transport.NewDialer(transport.DialerOptions{DNS: t.DNS, Connections: t.Connections})
	if err != nil {
		return err
	}
	p.dialers = append(p.dialers, dialer)
	switch u.Scheme {
	case "ws", "wss":
		p.webSockets[name], err = wsload.NewClient(wsload.Options{Target: u, TLS: cfg, Dial: dialer.DialContext})
		return err
	case "tcp", "tls", "udp":
		p.sockets[name], err = sockload.NewClient(sockload.Options{Target: u, TLS: cfg, Dial: dialer.DialContext, Valid: dialer.Valid})
		return err
	case "grpc", "grpcs":
		c, err := grpcload.NewClient(grpcload.Options{
			Target: u, TLS: cfg, Dial: dialer.DialContext, Valid: validOf(dialer), Fresh: t.Connections != nil && t.Connections.Reuse == scenario.ReuseNever,
		})
		if err == nil {
			p.grpc[name] = c
		}
		return err
	}
	if p.endpoints[name], err = httpload.NewEndpoint(u); err != nil {
		return err
	}
	c, err := p.newHTTPClient(t, u, cfg, dialer)
	if err == nil {
		p.clients[name] = c
	}
	return err
}

// validOf tells open connections to addresses that are the target's still from others; nil: its addresses do not change.
func validOf(d *transport.Dialer) func(net.Conn) bool {
	if !d.Changing() {
		return nil
	}
	return d.Valid
}

// newHTTPClient makes the client of a target that speaks HTTP.
func (p *flows) newHTTPClient(t scenario.Target, u *url.URL, cfg *tls.Config, dialer *transport.Dialer) (httpClient, error) {
	fresh := t.Connections != nil && t.Connections.Reuse == scenario.ReuseNever
	valid := validOf(dialer)
	var validAddr func(net.Addr) bool
	if dialer.Changing() {
		validAddr = dialer.ValidAddr
	}
	switch t.HTTP {
	case "2":
		return http2load.NewClient(http2load.Options{Target: u, TLS: cfg, Dial: dialer.DialContext, Valid: valid, Fresh: fresh})
	case "3":
		return http3load.NewClient(http3load.Options{
			Target: u, TLS: cfg, Addresses: dialer.Addresses, Source: dialer.Source, Valid: validAddr, Fresh: fresh,
		})
	}
	return httpload.NewClient(httpload.Options{
		Target: u, TLS: cfg, Dial: dialer.DialContext, MaxIdle: maxIdle(p.engine.opts.Plan), Valid: valid, Fresh: fresh,
		Collector: p.engine.express.collector,
	})
}

// maxIdle is how many connections of a target are kept open: as many as the phases may have in flight
// together, or else each request beyond that would open one anew. Users may be scaled up, so it is no
// less than the default cap.
func maxIdle(plan *scenario.Plan) int {
	n := 0.0
	for _, p := range plan.Phases {
		users := 0.0
		for _, s := range p.Users {
			users = max(users, s.From, s.To)
		}
		n += float64(p.MaxInFlight) + math.Ceil(users)
	}
	return int(min(max(n, scenario.DefaultMaxInFlight), math.MaxInt32))
}

// Close ends the mocks and closes the connections.
func (p *flows) Close() error {
	errs := []error{p.users.close()}
	for _, c := range p.clients {
		errs = append(errs, c.Close())
	}
	for _, c := range p.grpc {
		errs = append(errs, c.Close())
	}
	for _, d := range p.dialers {
		errs = append(errs, d.Close())
	}
	for _, m := range p.mocks {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}

// admit implements program.
func (p *flows) admit(r *runner) bool {
	j := &r.job
	x := &r.execution
	x.it.ID = feed.Identity{Arrival: j.row, User: -1, Draw: j.draw, Owner: j.draw, Deals: j.phase.plan.Deals}
	if j.user != noUser {
		x.it.ID.User = j.user
		x.it.ID.Owner = j.phase.owner.Child(uint64(j.user))
	}
	x.it.Ordinal, x.it.Intended = j.n, j.intended
	x.it.Clock, x.it.Sink, x.it.Setup = p.engine.clock, r, p.engine.setupValues()
	x.it.Session, x.it.Collect = p.session(j), j.collect
	if x.row != j.flow {
		x.row, x.flow = j.flow, p.program.Flow(j.flow.key.Flow)
	}
	return x.it.Prepare(p.program, x.flow) == nil
}

// run implements program.
func (p *flows) run(ctx context.Context, r *runner) bool {
	ok, _ := r.execution.it.Run(ctx, r.execution.flow)
	r.execution.it.Session = nil // it is the user's, who may leave
	return ok
}

// plain implements program.
func (p *flows) plain(name string) (step string) { return p.program.Flow(name).Plain() }

// send implements program.
func (p *flows) send(ctx context.Context, r *runner) bool {
	return r.execution.it.Send(ctx, r.execution.flow, r)
}

// receive implements program.
func (p *flows) receive(r *runner) (done, ok bool, ended time.Duration) {
	return r.execution.it.Receive()
}

// finish implements program.
func (p *flows) finish(r *runner) (ok bool, ended time.Duration) { return r.execution.it.Finish() }

// trim implements program.
func (p *flows) trim(r *runner) { r.execution.it.Trim() }

// infos describes the measures of a plan.
func infos(plan *scenario.Plan) map[string]metric.Info {
	out := map[string]metric.Info{}
	for _, f := range plan.Flows {
		for _, s := range f.Steps {
			for _, m := range s.Measure {
				out[m.Name] = metric.Info{Category: "business", Unit: m.Unit}
			}
		}
	}
	return out
}
