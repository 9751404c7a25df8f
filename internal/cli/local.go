package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/credentials/insecure"

	"proofload/internal/coordinator"
	"proofload/internal/load/programload"
	"proofload/internal/run"
	"proofload/internal/telemetry"
	"proofload/internal/worker"
	pb "proofload/proto/proofload/v1"
)

// localDir is the folder below --out that holds what is not a result.
const localDir = ".coordinator"

// maxLocalWorkers is how many workers fit into one process.
const maxLocalWorkers = 64

// localWorkers is how many workers a run on this machine gets: what was asked for, or what the
// scenario needs. Nobody can join it later, so too few would wait for ever.
func localWorkers(asked int, given bool, least int) (int, error) {
	switch {
	case least > maxLocalWorkers:
		return 0, exit(run.ExitNotStarted, fmt.Errorf("the scenario needs %d workers, and %d fit into one process: run it on a fleet, with --coordinator ADDR", least, maxLocalWorkers))
	case asked >= least:
		return asked, nil
	case given:
		return 0, exit(run.ExitNotStarted, fmt.Errorf("the scenario needs %d workers, not %d: give --workers %d", least, asked, least))
	}
	return least, nil
}

// localRun is a run on this machine: a coordinator and its workers in this process, driven through
// the public API as a client anywhere would.
type localRun struct {
	app     *app
	job     job
	workers int
	labels  map[string]string // of the workers

	log         hclog.Logger
	telemetry   *telemetry.Telemetry
	coordinator *coordinator.Coordinator
	group       *errgroup.Group
}

// run starts the pieces, drives the run and ends the pieces.
func (l *localRun) run(ctx context.Context) (err error) {
	if l.log, err = l.app.logger(); err != nil {
		return err
	}
	base := context.WithoutCancel(ctx) // a signal drains the run; it does not tear its pieces down
	local, endLocal := context.WithCancel(base)
	defer endLocal()
	l.telemetry = telemetry.Start(base, telemetry.Options{Service: "proofload", Version: Version, Logger: l.log})
	defer l.telemetry.Close()
	options := coordinator.Options{
		Name: "local", OwnWorkers: true, Listen: "127.0.0.1:0", HTTP: l.job.options.http, DataDir: filepath.Join(l.job.options.out, localDir), Store: l.job.options.out,
		Secret: l.app.secret, Version: Version, Logger: l.log, Telemetry: l.telemetry,
	}
	if err := errors.Join(options.Validate(), programload.Allowed(l.job.options.allowPrograms).Validate()); err != nil {
		return exit(run.ExitUsage, err)
	}
	if l.coordinator, err = coordinator.New(local, options); err != nil {
		return startError(err, "--out", "--out")
	}
	var groupCtx context.Context
	l.group, groupCtx = errgroup.WithContext(local)
	l.group.Go(func() error { return l.coordinator.Run(groupCtx) })
	err = l.drive(ctx, groupCtx)
	endLocal()
	if werr := l.group.Wait(); err == nil && werr != nil && !errors.Is(werr, context.Canceled) {
		err = werr
	}
	if cerr := l.coordinator.Close(); err == nil && cerr != nil {
		err = cerr
	}
	return err
}

// errNothingStarted is the end of a local run by a signal that came before the run was there.
var errNothingStarted = errors.New("stopped by a signal before the run began: nothing was started")

func (l *localRun) drive(ctx, pieces context.Context) error {
	select {
	case <-l.coordinator.Leading():
	case <-pieces.Done():
		return context.Cause(pieces)
	case <-ctx.Done():
		return exit(run.ExitStopped, errNothingStarted)
	}
	// The workers leave before the coordinator ends: so none is left to complain that it went away.
	workersCtx, endWorkers := context.WithCancel(pieces)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer endWorkers()
	for i := range l.workers {
		workers.Add(1)
		l.group.Go(func() error {
			defer workers.Done()
			return l.work(workersCtx, "local-"+strconv.Itoa(i+1))
		})
	}
	cl := newClient([]string{l.coordinator.Address()}, insecure.NewCredentials())
	defer cl.close()
	if err := l.awaitWorkers(ctx, pieces, cl); err != nil {
		return err
	}
	return l.app.drive(ctx, pieces, cl, l.job)
}

// work is one worker.
func (l *localRun) work(ctx context.Context, name string) error {
	return worker.Run(ctx, worker.Options{
		Name: name, Join: []string{l.coordinator.Address()}, Labels: l.labels, DataDir: filepath.Join(l.job.options.out, localDir, name),
		Version: Version, Logger: l.log, Telemetry: l.telemetry, AllowPrograms: l.job.options.allowPrograms,
	})
}

// awaitWorkers waits until every worker has attached: a run takes those that are there, and would go
// without the ones that come a moment later.
func (l *localRun) awaitWorkers(ctx, pieces context.Context, cl *client) error {
	for {
		attached := 0
		err := cl.call(func(_ pb.RunServiceClient, fleet pb.FleetServiceClient) error {
			resp, err := fleet.ListWorkers(pieces, &pb.ListWorkersRequest{})
			for _, w := range resp.GetWorkers() {
				if w.GetState() != pb.WorkerState_WORKER_STATE_LOST {
					attached++
				}
			}
			return err
		})
		switch {
		case pieces.Err() != nil:
			return context.Cause(pieces)
		case err != nil:
			return err
		case attached >= l.workers:
			return nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-pieces.Done():
			return context.Cause(pieces)
		case <-ctx.Done():
			return exit(run.ExitStopped, errNothingStarted)
		}
	}
}
