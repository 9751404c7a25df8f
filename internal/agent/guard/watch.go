package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Duty is one thing that is left to do when a worker has died.
type Duty interface {
	// Do does it, and tries again what fails, until ctx ends. The worker does not run any more; another
	// process may have taken its data directory over already.
	Do(ctx context.Context, dead Ward) error
}

// WatchOptions are what Watch needs. All fields are required.
type WatchOptions struct {
	Pipe   io.Reader      // its writing end is held by the worker alone
	Gone   func(int) bool // whether the process of that number has ended; see Orphaned
	Duties []Duty         // done at the same time
	Logger hclog.Logger
}

const (
	// dutyTime bounds what a guard outlives its worker by.
	dutyTime = 30 * time.Second
	// exitTime bounds how long a process may take to end once its files are closed. One that does not has
	// closed the pipe itself, and lives.
	exitTime  = 10 * time.Second
	exitEvery = 5 * time.Millisecond
)

// Watch watches over a worker until it dies or dismisses its guard, and does the duties if it has died. The
// pipe alone decides when; that the process is gone is the proof. It returns what failed of the duties, or
// that the pipe is not that of a worker. It ends at most 40 s after the worker.
func Watch(ctx context.Context, opts WatchOptions) error {
	ward, err := follow(opts.Pipe)
	if err != nil || ward.Dismissed {
		return err
	}
	log := opts.Logger.With("worker_id", ward.Name, "pid", ward.PID)
	if !ended(ctx, func() bool { return opts.Gone(ward.PID) }) {
		log.Warn("worker has closed the pipe and lives: nothing is done for it")
		return nil
	}
	log.Warn("worker has died")
	ctx, cancel := context.WithTimeoutCause(ctx, dutyTime, errDutyTime)
	defer cancel()
	errs := make([]error, len(opts.Duties))
	var doing sync.WaitGroup
	for i, d := range opts.Duties {
		doing.Go(func() { errs[i] = d.Do(ctx, ward) })
	}
	doing.Wait()
	return errors.Join(errs...)
}

var errDutyTime = fmt.Errorf("given up after %s", dutyTime)

// ended waits until gone, and reports whether it came to that.
func ended(ctx context.Context, gone func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, exitTime)
	defer cancel()
	ticker := time.NewTicker(exitEvery)
	defer ticker.Stop()
	for !gone() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
