package flow

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"proofload/internal/load/feed"
	"proofload/internal/load/grpcload"
	"proofload/internal/load/httpload"
	"proofload/internal/load/sockload"
	"proofload/internal/load/wsload"
	"proofload/internal/scenario"
	"proofload/internal/scenario/expression"
)

// Program is the flows of one plan, compiled. It is immutable and may be used concurrently.
type Program struct {
	flows    map[string]*Flow
	setup    *Flow
	teardown *Flow
	sets     map[string]int // index into feeds
	feeds    []*feed.Set
	secrets  map[string]string
	redactor *redactor
	params   map[string]any
	env      map[string]string
	sessions bool
}

// Options are what a Program needs besides the plan.
type Options struct {
	Clients map[string]HTTPClient // by target
	// Endpoints are where the clients lead, by target.
	Endpoints  map[string]httpload.Endpoint
	Feeds      map[string]*feed.Set        // by data set
	Secrets    map[string]string           // by name; the values are put into requests and nowhere else
	GRPC       map[string]*grpcload.Client // by target
	Sockets    map[string]*sockload.Client // by target
	WebSockets map[string]*wsload.Client   // by target
	// Method returns what describes the method of a grpc step; it is asked once for each of them.
	Method func(*scenario.Step) (Method, error)
	// Files returns the content of a file of the scenario by its digest.
	Files func(digest string) ([]byte, error)

	plan *scenario.Plan
}

// HTTPClient sends the requests of http steps to one target, in one version of HTTP. It may be used by any
// number of goroutines.
type HTTPClient interface {
	Do(ctx context.Context, req *httpload.Request, resp *httpload.Response) error
	NewSession() httpload.Session
}

// Flow is one compiled sequence of steps.
type Flow struct {
	Name  string
	Steps []*Step
	data  []int // data sets that it reads, as indexes into Program.feeds
	plain *plain
}

// Compile compiles the flows of a plan.
func Compile(plan *scenario.Plan, opts Options) (*Program, error) {
	opts.plan = plan
	p := &Program{
		flows: map[string]*Flow{}, sets: map[string]int{}, secrets: opts.Secrets, redactor: newRedactor(opts.Secrets),
		params: scenario.TypedParams(plan.Params), env: plan.Env, sessions: usesSessions(plan),
	}
	for _, name := range slices.Sorted(maps.Keys(opts.Feeds)) {
		p.sets[name] = len(p.feeds)
		p.feeds = append(p.feeds, opts.Feeds[name])
	}
	var err error
	for _, name := range slices.Sorted(maps.Keys(plan.Flows)) {
		if p.flows[name], err = p.flow(name, plan.Flows[name].Steps, opts); err != nil {
			return nil, err
		}
	}
	if p.setup, err = p.flow("setup", plan.Setup, opts); err != nil {
		return nil, err
	}
	if p.teardown, err = p.flow("teardown", plan.Teardown, opts); err != nil {
		return nil, err
	}
	return p, nil
}

// Flow returns a flow by name; nil when there is none.
func (p *Program) Flow(name string) *Flow { return p.flows[name] }

// Setup returns the steps that run once before the load.
func (p *Program) Setup() *Flow { return p.setup }

// Teardown returns the steps that run once at the end.
func (p *Program) Teardown() *Flow { return p.teardown }

func (p *Program) flow(name string, steps []scenario.Step, opts Options) (*Flow, error) {
	f := &Flow{Name: name}
	for i := range steps {
		c := compiler{opts: opts, index: i}
		step, err := c.step(i, &steps[i])
		if err != nil {
			return nil, fmt.Errorf("compile flow %s, step %d %s: %w", name, i+1, steps[i].Name, err)
		}
		f.Steps = append(f.Steps, step)
		if err := p.reads(f, c.refs); err != nil {
			return nil, fmt.Errorf("compile flow %s, step %d %s: %w", name, i+1, steps[i].Name, err)
		}
	}
	f.plain = newPlain(f)
	return f, nil
}

// reads notes the data sets that a step reads.
func (p *Program) reads(f *Flow, refs []expression.Ref) error {
	for _, ref := range refs {
		if ref.Root != expression.Data {
			continue
		}
		i, ok := p.sets[ref.Name]
		if !ok {
			return fmt.Errorf("there is no data set %q", ref.Name)
		}
		if !slices.Contains(f.data, i) {
			f.data = append(f.data, i)
		}
	}
	return nil
}
