package cli

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	pb "proofload/proto/proofload/v1"
)

// theRun is a RunService with one run, which ends when it is stopped.
type theRun struct {
	pb.UnimplementedRunServiceServer
	stopped chan struct{} // closed when the run is stopped
	watches atomic.Int32

	mu       sync.Mutex
	refusals []error  // of StopRun, before it does what it is told
	stops    []string // request ids of StopRun
}

// WatchRun implements RunService.
func (r *theRun) WatchRun(_ *pb.WatchRunRequest, stream grpc.ServerStreamingServer[pb.WatchRunResponse]) error {
	r.watches.Add(1)
	say := func(s pb.RunState) error {
		return stream.Send(&pb.WatchRunResponse{Run: &pb.Run{Id: "r", Name: "shop", State: s}})
	}
	if err := say(pb.RunState_RUN_STATE_RUNNING); err != nil {
		return err
	}
	select {
	case <-r.stopped:
		return say(pb.RunState_RUN_STATE_COMPLETED)
	case <-stream.Context().Done():
		return context.Cause(stream.Context())
	}
}

// StopRun implements RunService.
func (r *theRun) StopRun(_ context.Context, req *pb.StopRunRequest) (*pb.StopRunResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stops = append(r.stops, req.GetRequestId())
	if len(r.refusals) > 0 {
		err := r.refusals[0]
		r.refusals = r.refusals[1:]
		return nil, err
	}
	close(r.stopped)
	return &pb.StopRunResponse{}, nil
}

// notes is a progress that keeps what people are told.
type notes struct {
	silent
	mu  sync.Mutex
	all []string
}

func (n *notes) note(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, text)
}

func (n *notes) text() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.all, "\n")
}

// mutable is a connection that can become one whose other end is gone: what is written goes nowhere,
// and nothing comes.
type mutable struct {
	net.Conn
	dead *atomic.Bool
}

func (m mutable) Write(b []byte) (int, error) {
	if m.dead.Load() {
		return len(b), nil
	}
	return m.Conn.Write(b)
}

func (m mutable) Read(b []byte) (int, error) {
	for {
		n, err := m.Conn.Read(b)
		if err != nil || !m.dead.Load() {
			return n, err
		}
	}
}

// followed is a run that is followed in a bubble of synctest.
type followed struct {
	run    *theRun
	notes  *notes
	signal context.CancelFunc
	ended  chan *pb.Run // what follow returned
	dead   *atomic.Bool // the first connection is
}

// following runs fn while the run of r is followed, to be stopped by a signal.
func following(t *testing.T, fn func(f *followed), refusals ...error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &followed{
			run: &theRun{stopped: make(chan struct{}), refusals: refusals}, notes: &notes{},
			ended: make(chan *pb.Run, 1), dead: &atomic.Bool{},
		}
		listener, server := bufconn.Listen(1<<16), grpc.NewServer(grpc.WaitForHandlers(true))
		pb.RegisterRunServiceServer(server, f.run)
		var wg sync.WaitGroup
		wg.Go(func() { _ = server.Serve(listener) })
		dialled := 0
		cl := newClient([]string{"passthrough:///c1"}, insecure.NewCredentials())
		cl.extra = []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			conn, err := listener.DialContext(ctx)
			if dialled++; dialled == 1 && err == nil {
				conn = mutable{conn, f.dead}
			}
			return conn, err
		})}
		ctx, signal := context.WithCancel(t.Context())
		f.signal = signal
		pieces, tear := context.WithCancel(t.Context())
		defer func() {
			tear()
			server.Stop()
			wg.Wait()
		}()
		wg.Go(func() {
			last, err := (&app{}).follow(ctx, pieces, watched{client: cl, run: &pb.Run{Id: "r"}, show: f.notes, stop: true})
			cl.close()
			if err != nil && pieces.Err() == nil {
				t.Errorf("follow: %v", err)
			}
			f.ended <- last
		})
		synctest.Wait()
		fn(f)
	})
}

func (f *followed) wantEnd(t *testing.T) {
	t.Helper()
	select {
	case last := <-f.ended:
		if last.GetState() != pb.RunState_RUN_STATE_COMPLETED {
			t.Errorf("followed to %v", last)
		}
	case <-time.After(time.Minute):
		t.Errorf("still following after a minute; told: %s", f.notes.text())
	}
}

// TestSignalStopsTheRun proves that the stop of a signal reaches a coordinator that was not there at
// first, as one and the same command.
func TestSignalStopsTheRun(t *testing.T) {
	away := status.Error(codes.Unavailable, "starting")
	following(t, func(f *followed) {
		f.signal()
		f.wantEnd(t)
		if ids := slices.Compact(slices.Clone(f.run.stops)); len(f.run.stops) != 3 || len(ids) != 1 {
			t.Errorf("stopped with the ids %v, want one id three times", f.run.stops)
		}
		if strings.Contains(f.notes.text(), "not stopped") {
			t.Errorf("told: %s", f.notes.text())
		}
	}, away, away)
}

// TestSignalThatDoesNotStop proves that whoever gave a signal learns that it had no effect, and that the
// run is followed on.
func TestSignalThatDoesNotStop(t *testing.T) {
	following(t, func(f *followed) {
		f.signal()
		synctest.Wait()
		if !strings.Contains(f.notes.text(), "the run was not stopped and goes on: not yours") {
			t.Errorf("told: %s", f.notes.text())
		}
		close(f.run.stopped) // by somebody else
		f.wantEnd(t)
	}, status.Error(codes.PermissionDenied, "not yours"))
}

// TestHalfOpenWatch proves that a coordinator whose machine is gone without a word is noticed, and that
// the run is followed at the next attempt.
func TestHalfOpenWatch(t *testing.T) {
	following(t, func(f *followed) {
		f.dead.Store(true)
		close(f.run.stopped)
		f.wantEnd(t)
		if n := f.run.watches.Load(); n != 2 {
			t.Errorf("watched %d times, want once more", n)
		}
	})
}

// shownEvents is progress that keeps the numbers of the events.
type shownEvents struct{ numbers []uint64 }

func (s *shownEvents) note(string) {}
func (s *shownEvents) close()      {}

func (s *shownEvents) update(m *pb.WatchRunResponse) {
	for _, e := range m.GetEvents() {
		s.numbers = append(s.numbers, e.GetNumber())
	}
}

// TestEventsAreShownOnce: a watch that is begun again tells of all events again.
func TestEventsAreShownOnce(t *testing.T) {
	shown := &shownEvents{}
	n := &newEvents{progress: shown}
	for _, numbers := range [][]uint64{{1, 2}, {3}, {1, 2, 3, 4}, {}, {4, 5}} {
		m := &pb.WatchRunResponse{}
		for _, i := range numbers {
			m.Events = append(m.Events, &pb.RunEvent{Number: i})
		}
		n.update(m)
	}
	if !slices.Equal(shown.numbers, []uint64{1, 2, 3, 4, 5}) {
		t.Errorf("shown %v", shown.numbers)
	}
}
