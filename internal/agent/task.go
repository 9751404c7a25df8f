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

// perform runs a task once the engine is prepared, and reports its outcome.
func (w *work) perform(t wire.Task) {
	<-w.ready
	w.mu.Lock()
	engine := w.engine
	w.mu.Unlock()
	result := wire.TaskResult{ID: t.ID, Run: t.Run}
	if engine == nil {
		result.Error = "worker could not be prepared"
	} else if err := w.steps(engine, t, &result); err != nil {
		result.Error = err.Error()
	}
	w.agent.link.Result(result)
}

// taskTimeout bounds setup and teardown as a whole.
const taskTimeout = 10 * time.Minute

func (w *work) steps(engine *load.Engine, t wire.Task, result *wire.TaskResult) error {
	ctx, cancel := context.WithTimeout(w.life, taskTimeout)
	defer cancel()
	var saved map[string]any
	var err error
	switch t.Kind {
	case "setup":
		saved, result.Requests, err = engine.Setup(ctx)
	case "teardown":
		result.Requests, err = engine.Teardown(ctx)
	default:
		err = errors.New("task is of an unknown kind: " + t.Kind)
	}
	if err != nil {
		return err
	}
	if result.Saved, err = json.Marshal(saved); err != nil {
		return fmt.Errorf("values of %s: %w", t.Kind, err)
	}
	return nil
}
