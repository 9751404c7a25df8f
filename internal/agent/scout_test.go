package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// town is a worker and several coordinators, in a bubble of synctest. Each of them can be put out of the
// worker's reach.
type town struct {
	t     *testing.T
	sites map[string]*site // by address
	agent *Agent
	ended chan error

	mu   sync.Mutex
	away map[string]error // why an address cannot be reached; nil entry: attempts hang
}

// site is one coordinator of a town.
type site struct {
	*coordinator
	listener *bufconn.Listener
}

// inTown runs fn with coordinators at c1, c2 and c3, and with a worker that was told of the addresses given.
func inTown(t *testing.T, addresses []string, fn func(w *town)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &town{t: t, sites: map[string]*site{}, away: map[string]error{}, ended: make(chan error, 1)}
		var serving sync.WaitGroup
		var servers []*grpc.Server
		for _, address := range []string{"passthrough:///c1", "passthrough:///c2", "passthrough:///c3"} {
			s := &site{coordinator: &coordinator{sessions: make(chan *attached, 16)}, listener: bufconn.Listen(1 << 20)}
			server := grpc.NewServer(grpc.WaitForHandlers(true))
			pb.RegisterWorkerServiceServer(server, s.coordinator)
			serving.Go(func() {
				if err := server.Serve(s.listener); err != nil {
					t.Errorf("serve: %v", err)
				}
			})
			w.sites[address], servers = s, append(servers, server)
		}
		began := time.Now().Add(-time.Hour)
		a, err := New(Options{
			Name: "w1", Addresses: addresses, DataDir: t.TempDir(), Version: "test",
			Clock: func() int64 { return int64(time.Since(began)) }, Logger: hclog.NewNullLogger(),
			Credentials: insecure.NewCredentials(), Dial: []grpc.DialOption{grpc.WithContextDialer(w.dial)},
		})
		if err != nil {
			t.Fatal(err)
		}
		a.link.to = &ear{}
		w.agent = a
		ctx, cancel := context.WithCancel(t.Context())
		serving.Go(func() { w.ended <- a.link.run(ctx) })
		defer func() {
			cancel()
			for _, s := range servers {
				s.Stop()
			}
			serving.Wait()
			a.link.dial.close()
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		}()
		fn(w)
	})
}

func (w *town) dial(ctx context.Context, name string) (net.Conn, error) {
	w.mu.Lock()
	why, away := w.away["passthrough:///"+name]
	w.mu.Unlock()
	switch {
	case away && why == nil:
		<-ctx.Done()
		return nil, ctx.Err()
	case away:
		return nil, why
	}
	return w.sites["passthrough:///"+name].listener.DialContext(ctx)
}

// reach changes whether an address can be reached; what is refused fails at once, else it hangs.
func (w *town) reach(address string, ok bool, why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if delete(w.away, address); !ok {
		w.away[address] = why
	}
}

// at waits for the worker to attach to a coordinator.
func (w *town) at(address string) *attached {
	w.t.Helper()
	select {
	case s := <-w.sites[address].sessions:
		s.t = w.t
		return s
	case err := <-w.ended:
		w.t.Fatalf("the link ended with %v", err)
	case <-time.After(time.Minute):
		w.t.Fatalf("the worker did not come to %s within a minute", address)
	}
	return nil
}

func (w *town) nobodyComesTo(address string, within time.Duration) {
	w.t.Helper()
	select {
	case <-w.sites[address].sessions:
		w.t.Errorf("the worker came to %s", address)
	case <-time.After(within):
	}
}

// refuse answers a hello as a coordinator does that does not lead.
func (s *attached) refuse(leader wire.Leader) {
	s.t.Helper()
	st, err := status.New(codes.FailedPrecondition, "this coordinator does not lead").WithDetails(wire.LeaderToProto(leader))
	if err != nil {
		s.t.Fatal(err)
	}
	s.end <- st.Err()
	<-s.gone
}

// relayed welcomes the worker as a coordinator does that relays.
func (s *attached) relayed(leader wire.Leader) {
	s.t.Helper()
	if err := s.stream.SetHeader(metadata.Pairs(wire.MetaRelayedBy, "c2")); err != nil {
		s.t.Fatal(err)
	}
	s.greeted(leader)
}

func (s *attached) greeted(leader wire.Leader) {
	s.t.Helper()
	s.sendOf(leader.Epoch, &pb.AttachResponse{Payload: &pb.AttachResponse_Welcome{Welcome: &pb.Welcome{
		SessionId: "s", Incarnation: 7, ClusterId: cluster, Leader: wire.LeaderToProto(leader),
	}}})
	synctest.Wait()
}

var (
	leader1 = wire.Leader{Name: "c1", Address: "passthrough:///c1", Epoch: epoch}
	leader3 = wire.Leader{Name: "c3", Address: "passthrough:///c3", Epoch: epoch + 2}
)

// TestLeaderIsPreferred proves that a worker asks the first coordinator that it reaches who leads, rather
// than to be relayed, and goes there.
func TestLeaderIsPreferred(t *testing.T) {
	inTown(t, []string{"passthrough:///c2"}, func(w *town) {
		s := w.at("passthrough:///c2")
		if !s.direct {
			t.Error("the first attempt asks to be relayed")
		}
		s.refuse(leader1)
		at := w.at("passthrough:///c1")
		at.greeted(leader1)
		w.keepAlive(at, false)
		w.nobodyComesTo("passthrough:///c2", 30*time.Second)
	})
}

// TestRelayIsAskedFor proves that a worker which cannot reach the leader, because it is refused there or gets
// no answer, soon asks the coordinator that named it to relay; and that it does not try the leader first
// when that session breaks a moment later.
func TestRelayIsAskedFor(t *testing.T) {
	for name, why := range map[string]error{"refused": errors.New("connection refused"), "no answer": nil} {
		t.Run(name, func(t *testing.T) {
			inTown(t, []string{"passthrough:///c2"}, func(w *town) {
				w.reach(leader1.Address, false, why)
				w.at("passthrough:///c2").refuse(leader1)
				began := time.Now()
				s := w.at("passthrough:///c2")
				if s.direct {
					t.Error("it does not ask to be relayed")
				}
				if waited := time.Since(began); waited > reachWait+time.Second {
					t.Errorf("it came back after %v", waited)
				}
				s.relayed(leader1)
				s.breakOff(status.Error(codes.Unavailable, "the relay ends"))
				w.at("passthrough:///c2").refuse(leader1)
				began = time.Now()
				if s := w.at("passthrough:///c2"); s.direct || time.Since(began) > time.Second {
					t.Errorf("after %v it asks to be relayed: %v", time.Since(began), !s.direct)
				}
			})
		})
	}
}

// TestRelayedWorkerMovesToTheLeader proves that a worker which is relayed probes the leader's address and
// goes there when it can be reached, and only if it leads there.
func TestRelayedWorkerMovesToTheLeader(t *testing.T) {
	inTown(t, []string{"passthrough:///c2"}, func(w *town) {
		w.reach(leader1.Address, false, errors.New("connection refused"))
		w.at("passthrough:///c2").refuse(leader1)
		s := w.at("passthrough:///c2")
		s.relayed(leader1)
		w.keepAlive(s, false)
		var mu sync.Mutex
		leading := false
		w.sites[leader1.Address].FindLeaderFn = func() *pb.FindLeaderResponse {
			mu.Lock()
			defer mu.Unlock()
			return &pb.FindLeaderResponse{Leader: wire.LeaderToProto(leader1), Leading: leading, ClusterId: cluster}
		}
		w.reach(leader1.Address, true, nil)
		w.nobodyComesTo(leader1.Address, 2*probeEvery+5*time.Second)
		mu.Lock()
		leading = true
		mu.Unlock()
		began := time.Now()
		w.at(leader1.Address).greeted(leader1)
		if waited := time.Since(began); waited > probeEvery+2*time.Second {
			t.Errorf("it moved after %v", waited)
		}
	})
}

// keepAlive answers the worker's heartbeats.
func (w *town) keepAlive(s *attached, caretaker bool) {
	var answering sync.WaitGroup
	answering.Go(func() { // ends with the session
		for m := range s.in {
			if h := m.GetHeartbeat(); h != nil {
				_ = s.stream.Send(&pb.AttachResponse{Epoch: epoch, Payload: &pb.AttachResponse_Heartbeat{Heartbeat: &pb.HeartbeatReply{Number: h.GetNumber(), Caretaker: caretaker}}})
			}
		}
	})
}

// TestWorkerLeavesWhoDoesNotLead proves that a worker whose coordinator is a caretaker stays until another one
// names a later leader of the same cluster, and then goes there; and that one whose coordinator is silent does
// not wait until its session is given up.
func TestWorkerLeavesWhoDoesNotLead(t *testing.T) {
	for _, silent := range []bool{false, true} {
		t.Run(fmt.Sprintf("silent %v", silent), func(t *testing.T) {
			inTown(t, []string{"passthrough:///c1", "passthrough:///c2"}, func(w *town) {
				var mu sync.Mutex
				answer := &pb.FindLeaderResponse{Leader: wire.LeaderToProto(leader1), ClusterId: cluster}
				w.sites["passthrough:///c2"].FindLeaderFn = func() *pb.FindLeaderResponse {
					mu.Lock()
					defer mu.Unlock()
					return answer
				}
				s := w.at(leader1.Address)
				s.greeted(leader1)
				if !silent {
					w.keepAlive(s, true)
					w.nobodyComesTo(leader3.Address, 10*time.Second)
					mu.Lock()
					answer = &pb.FindLeaderResponse{Leader: wire.LeaderToProto(leader3), ClusterId: cluster + 1}
					mu.Unlock()
					w.nobodyComesTo(leader3.Address, 10*time.Second)
				}
				mu.Lock()
				answer = &pb.FindLeaderResponse{Leader: wire.LeaderToProto(leader3), ClusterId: cluster}
				mu.Unlock()
				began := time.Now()
				w.at(leader3.Address).greeted(leader3)
				if waited := time.Since(began); waited > silentAfter+searchEvery {
					t.Errorf("it left after %v", waited)
				}
				<-s.gone
			})
		})
	}
}

// TestAnsweringLeaderIsNotLeft proves that a worker whose leader answers asks nobody.
func TestAnsweringLeaderIsNotLeft(t *testing.T) {
	inTown(t, []string{"passthrough:///c1", "passthrough:///c2"}, func(w *town) {
		w.sites["passthrough:///c2"].FindLeaderFn = func() *pb.FindLeaderResponse {
			t.Error("the worker asks who leads")
			return &pb.FindLeaderResponse{}
		}
		s := w.at(leader1.Address)
		s.greeted(leader1)
		w.keepAlive(s, false)
		w.nobodyComesTo(leader3.Address, time.Minute)
	})
}

// TestLeaderThatIsNotReadyYet proves that a coordinator which names itself is tried again, and may relay: its
// address may be that of several.
func TestLeaderThatIsNotReadyYet(t *testing.T) {
	inTown(t, []string{"passthrough:///c1"}, func(w *town) {
		w.at(leader1.Address).refuse(leader1)
		s := w.at(leader1.Address)
		if s.direct {
			t.Error("it does not ask to be relayed")
		}
		s.greeted(leader1)
	})
}
