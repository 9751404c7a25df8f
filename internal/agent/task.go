package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"proofload/internal/load"
	"proofload/internal/wire"
)

// task runs setup or teardown, once for each id. It reports false when the work is over: nothing may
// be started then, because close waits for what was.
func (w *work) task(t wire.Task) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closing {
		return false
	}
	if w.tasks[t.ID] {
		return true
	}
	w.tasks[t.ID] = true
	w.wg.Go(func() { w.perform(t) })
	return true
}

// perform runs a task once the engine is prepared, and reports its outcome. Setup that is cut because the run was
// told to stop has none: as a failure it would be the reason for which the run has ended.
func (w *work) perform(t wire.Task) {
	<-w.ready
	w.tasking.Lock()
	defer w.tasking.Unlock()
	w.mu.Lock()
	engine := w.engine
	stopped := w.wanted.Goal == wire.GoalStop
	w.mu.Unlock()
	if t.Kind == taskSetup && stopped {
		return
	}
	result := wire.TaskResult{ID: t.ID, Run: t.Run}
	if engine == nil {
		result.Error = "worker could not be prepared"
	} else if err := w.steps(engine, t, &result); err != nil {
		if t.Kind == taskSetup && w.starting.Err() != nil && w.life.Err() == nil {
			w.log.Info("setup cut: the run or this worker was told to stop", "requests", result.Requests)
			return
		}
		result.Error = err.Error()
	}
	w.agent.link.Result(result)
}

// What tasks there are.
const (
	taskSetup    = "setup"
	taskTeardown = "teardown"
)

// taskTimeout bounds setup and teardown as a whole.
const taskTimeout = 10 * time.Minute

func (w *work) steps(engine *load.Engine, t wire.Task, result *wire.TaskResult) error {
	ctx := w.life
	if t.Kind == taskSetup {
		ctx = w.starting
	}
	ctx, cancel := context.WithTimeout(ctx, taskTimeout)
	defer cancel()
	var saved map[string]any
	var err error
	switch t.Kind {
	case taskSetup:
		saved, result.Requests, err = engine.Setup(ctx)
	case taskTeardown:
		result.Requests, err = engine.Teardown(ctx)
	default:
		err = errors.New("task is of an unknown kind: " + t.Kind)
	}
	if err != nil {
		return err
	}
	result.Saved, err = encodeSaved(saved)
	return err
}

// encodeSaved makes the document of what setup has saved.
func encodeSaved(values map[string]any) (json.RawMessage, error) {
	data, err := json.Marshal(values)
	if err != nil {
		return nil, fmt.Errorf("saved values: %w", err)
	}
	if len(data) > wire.MaxSaved {
		return nil, fmt.Errorf("saved values take %d bytes as JSON, at most %d are kept: save a part of the answer", len(data), wire.MaxSaved)
	}
	return data, nil
}
