package load

import (
	"context"
	"fmt"
	"time"

	"proofload/internal/load/flow"
)

// SetSetup gives the values that setup has saved, which nobody may change afterwards. Iterations that
// start from then on see them.
func (e *Engine) SetSetup(values map[string]any) {
	e.setup.Store(&values)
}

// setupValues returns what setup has saved, nil before it is known.
func (e *Engine) setupValues() map[string]any {
	if values := e.setup.Load(); values != nil {
		return *values
	}
	return nil
}

// Setup runs the setup steps once and returns what they saved and how many requests they sent.
func (e *Engine) Setup(ctx context.Context) (saved map[string]any, requests int64, err error) {
	return e.once(ctx, "setup", (*flow.Program).Setup)
}

// Teardown runs the teardown steps once.
func (e *Engine) Teardown(ctx context.Context) (requests int64, err error) {
	_, requests, err = e.once(ctx, "teardown", (*flow.Program).Teardown)
	return requests, err
}

func (e *Engine) once(ctx context.Context, name string, which func(*flow.Program) *flow.Flow) (map[string]any, int64, error) {
	e.mu.Lock()
	p, ok := e.program.(*flows)
	e.mu.Unlock()
	if !ok {
		return nil, 0, fmt.Errorf("%s: the engine is not prepared", name)
	}
	count := &counter{}
	it := &flow.Iteration{ID: flow.Once(e.opts.Plan.Seed, name), Clock: e.clock, Sink: count, Setup: e.setupValues(), Intended: e.clock.Now()}
	f := which(p.program)
	if err := it.Prepare(p.program, f); err != nil {
		return nil, 0, err
	}
	_, err := it.Run(ctx, f)
	return it.Saved(), count.requests, err
}

// counter is the sink of setup and teardown, whose requests are no samples.
type counter struct{ requests int64 }

func (c *counter) Began(string, time.Duration)                                 {}
func (c *counter) Timed(*flow.Step, flow.Timing, time.Duration, time.Duration) {}
func (c *counter) Measure(*flow.Step, int, float64, time.Duration)             {}

func (c *counter) Request(q *flow.Report) {
	if !q.Unsent() {
		c.requests++
	}
}
