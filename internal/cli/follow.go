package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/spf13/pflag"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	reports "proofload/internal/result/report"
	"proofload/internal/run"
	"proofload/internal/worker"
	pb "proofload/proto/proofload/v1"
)

// watched is what follow needs: a run that the coordinator has shown to be there.
type watched struct {
	client *client
	run    *pb.Run
	show   progress
	// stop makes the end of the command's context stop the run; without it following ends.
	stop bool
}

// follow watches a run to its end and returns it. When ctx ends the run is stopped, if that is wanted,
// and followed on; else following ends with exit code 130. A coordinator that goes away is waited
// for; pieces is the life of what the run needs.
func (a *app) follow(ctx, pieces context.Context, w watched) (*pb.Run, error) {
	watchCtx, cancel := context.WithCancel(pieces)
	var stopping sync.WaitGroup
	defer stopping.Wait()
	defer cancel()
	stopping.Go(func() {
		select {
		case <-ctx.Done():
		case <-watchCtx.Done():
			return
		}
		if !w.stop {
			cancel()
			return
		}
		w.stopRun(watchCtx)
	})
	last, told := w.run, ""
	unseen := &newEvents{progress: w.show}
	for {
		err := w.client.call(func(runs pb.RunServiceClient, _ pb.FleetServiceClient) error {
			// Always by the id: what `last` means may change while the coordinator is away.
			r, err := watch(watchCtx, runs, w.run.GetId(), unseen)
			if r != nil {
				last = r
				if !notYet(err) {
					told = "" // it was watched meanwhile
				}
			}
			return err
		})
		switch {
		case err == nil && final(last.GetState()):
			return last, nil
		case watchCtx.Err() != nil && pieces.Err() == nil:
			return last, exit(run.ExitInterrupted, nil)
		case pieces.Err() != nil:
			return last, context.Cause(pieces)
		case err != nil && !again(err):
			return last, err
		}
		if text := whyAgain(err); told != text {
			told = text
			w.show.note(text)
		}
		select {
		case <-time.After(time.Second):
		case <-watchCtx.Done():
		}
	}
}

// stopRun stops the run, and tells what became of that unless ctx ends.
func (w watched) stopRun(ctx context.Context) {
	w.show.note("stopping: work in flight finishes (half a minute at most), then the report is made; a second signal ends at once")
	on, err := w.client.clone().stop(ctx, w.run.GetId())
	switch {
	case err != nil && ctx.Err() == nil && !takesNone(err):
		w.show.note("the run was not stopped and goes on: " + status.Convert(err).Message())
	case err == nil && on != nil:
		w.show.note(passedText(on))
	}
}

// newEvents passes on each event once: a watch that is begun again tells all of them again, under their numbers.
type newEvents struct {
	progress
	shown uint64
}

func (n *newEvents) update(m *pb.WatchRunResponse) {
	m.Events = slices.DeleteFunc(m.Events, func(e *pb.RunEvent) bool { return e.GetNumber() <= n.shown })
	for _, e := range m.GetEvents() {
		n.shown = max(n.shown, e.GetNumber())
	}
	n.progress.update(m)
}

// takesNone reports whether an error says that the run takes no such command, any more or yet.
func takesNone(err error) bool { return status.Code(err) == codes.FailedPrecondition }

// clone returns a client of the same coordinators with a connection of its own.
func (c *client) clone() *client {
	return &client{addresses: c.addresses, creds: c.creds, extra: c.extra}
}

// stop stops a run and closes the client. A coordinator that does not answer is asked again until ctx
// ends: whoever gave the signal believes that the load ends. One that could not record it says so, nil: it could.
func (c *client) stop(ctx context.Context, id string) (on *pb.StopPassedOn, err error) {
	defer c.close()
	req := &pb.StopRunRequest{RequestId: requestID(), RunId: id, Reason: "stopped by a signal", BySignal: true}
	for {
		err = c.call(func(runs pb.RunServiceClient, _ pb.FleetServiceClient) error {
			callCtx, done := context.WithTimeout(ctx, 30*time.Second)
			defer done()
			resp, err := runs.StopRun(callCtx, req)
			on = resp.GetPassedOn()
			return err
		})
		if err == nil || !again(err) {
			return on, err
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// again reports whether watching may be tried again after an error.
func again(err error) bool {
	var e *exitError
	if errors.As(err, &e) && e.code == run.ExitUnreachable {
		return true
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded:
		return true
	}
	return hasLeaderInfo(err)
}

// whyAgain is what a person is told when watching is tried again after err.
func whyAgain(err error) string {
	if notYet(err) {
		return status.Convert(err).Message()
	}
	return "the coordinator does not answer; the run goes on, trying again"
}

// notYet reports whether a leader has answered that it cannot serve yet.
func notYet(err error) bool { return status.Code(err) == codes.Unavailable && !unanswered(err) }

func watch(ctx context.Context, runs pb.RunServiceClient, id string, show progress) (*pb.Run, error) {
	stream, err := runs.WatchRun(ctx, &pb.WatchRunRequest{RunId: id})
	if err != nil {
		return nil, err
	}
	var last *pb.Run
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return last, nil
		}
		if err != nil {
			return last, err
		}
		last = m.GetRun()
		show.update(m)
	}
}

func final(s pb.RunState) bool {
	return s == pb.RunState_RUN_STATE_COMPLETED || s == pb.RunState_RUN_STATE_FAILED
}

// summary prints the end of a run from its report.
func (a *app) summary(document []byte) error {
	d, err := reports.ReadJSON(bytes.NewReader(document))
	if err != nil {
		return err
	}
	return reports.WriteSummary(a.stdout, d, reports.SummaryOptions{Color: a.colourful(a.stdout)})
}

// tlsFlags adds the flags by which a client or a worker trusts a coordinator.
func tlsFlags(f *pflag.FlagSet, o *worker.TLSOptions) {
	f.BoolVar(&o.Enabled, "tls", false, "connect with TLS")
	f.StringVar(&o.CAFile, "tls-ca", "", "PEM file of the authorities to trust; default the system's")
	f.StringVar(&o.CertFile, "tls-cert", "", "PEM file of the own certificate")
	f.StringVar(&o.KeyFile, "tls-key", "", "PEM file of its key")
}
