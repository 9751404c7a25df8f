package agent

import (
	"context"
	"errors"
	"fmt"

	"proofload/internal/load"
	"proofload/internal/scenario"
	"proofload/internal/wire"
)

// prepare fetches the plan and its files and prepares the engine. What it needs of the assignment
// never changes within a run, so it goes by the first one.
func (w *work) prepare(ctx context.Context, first wire.Assignment) {
	defer close(w.ready)
	engine, err := w.build(ctx, first)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil {
			w.log.Error("run not prepared", "error", err)
		}
		w.state, w.failure = wire.WorkerFailed, err.Error()
		w.reportLocked()
		return
	}
	w.engine = engine
	w.state = max(w.state, wire.WorkerReady)
	w.applyLocked()
	w.reportLocked()
}

func (w *work) build(ctx context.Context, first wire.Assignment) (*load.Engine, error) {
	files := w.agent.link.files
	data, err := files.Get(ctx, first.PlanDigest)
	if err != nil {
		return nil, fmt.Errorf("fetch plan: %w", err)
	}
	plan, err := scenario.DecodePlan(data)
	if err != nil {
		return nil, err
	}
	w.alone = newAlone(plan)
	content := map[string][]byte{}
	for _, f := range plan.Files() {
		if content[f.Digest], err = files.Get(ctx, f.Digest); err != nil {
			return nil, fmt.Errorf("fetch %s: %w", f.Name, err)
		}
	}
	opts := load.Options{
		Plan: plan, Worker: w.agent.opts.Name, Clock: w.clock, Secrets: first.Secrets,
		Drain: first.Drain, Logger: w.log, AllowProgram: w.agent.opts.AllowProgram,
		Files: func(digest string) ([]byte, error) {
			if data, ok := content[digest]; ok {
				return data, nil
			}
			return nil, fmt.Errorf("file %s is not part of the plan", digest)
		},
	}
	if w.agent.opts.Host != nil {
		opts.Host = w.agent.opts.Host
	}
	engine, err := load.New(opts)
	if err != nil {
		return nil, err
	}
	if err := engine.Prepare(ctx); err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	return engine, nil
}
