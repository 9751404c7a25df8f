package load

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"

	"proofload/internal/metric"
	"proofload/internal/scenario"
)

// traces is what a server was sent as traceparents.
type traces struct {
	mu       sync.Mutex
	ids      map[string]bool
	requests int
	wrong    []string
}

const givenParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

var parentOf = regexp.MustCompile(`^00-([0-9a-f]{32})-([0-9a-f]{16})-01$`)

// saw notes the traceparents of one request.
func (s *traces) saw(parents []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	if len(parents) == 0 {
		return
	}
	if m := parentOf.FindStringSubmatch(parents[0]); len(parents) == 1 && m != nil && (parents[0] == givenParent || !s.ids[m[1]]) {
		s.ids[m[1]] = true
		return
	}
	s.wrong = append(s.wrong, strings.Join(parents, ", "))
}

// service notes the metadata of calls of the service of health.
func (s *traces) service(ctx context.Context, method string) {
	if strings.HasPrefix(method, "/grpc.health.v1.Health/") {
		md, _ := metadata.FromIncomingContext(ctx)
		s.saw(md.Get("traceparent"))
	}
}

func (s *traces) serveGRPC(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(
		grpc.UnaryInterceptor(func(ctx context.Context, in any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			s.service(ctx, info.FullMethod)
			return next(ctx, in)
		}),
		grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			s.service(stream.Context(), info.FullMethod)
			return next(srv, stream)
		}),
	)
	healthv1.RegisterHealthServer(server, health.NewServer())
	reflection.Register(server)
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() { server.Stop(); wg.Wait() })
	return "grpc://" + l.Addr().String()
}

func (s *traces) serveWebSocket(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.saw(r.Header.Values("Traceparent"))
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		_ = c.Write(context.Background(), websocket.MessageText, []byte("hello"))
		_, _, _ = c.Read(context.Background()) // the client closes
		_ = c.CloseNow()
	}))
	t.Cleanup(server.Close)
	return "ws" + strings.TrimPrefix(server.URL, "http")
}

// TestTracedCalls: of calls and conversations the share that is sampled carries a traceparent, and the slowest of
// those are named by ids that the server has seen. One that the step has itself stays as it is and is no example.
func TestTracedCalls(t *testing.T) {
	t.Parallel()
	hello := "hello"
	for _, tc := range []struct {
		name   string
		serve  func(*traces, *testing.T) string
		step   scenario.Step
		status int
	}{
		{"unary call", (*traces).serveGRPC, scenario.Step{GRPC: &scenario.GRPC{Method: "grpc.health.v1.Health/Check"}, ImplyStatus: true}, 0},
		{"stream", (*traces).serveGRPC, scenario.Step{GRPC: &scenario.GRPC{Method: "grpc.health.v1.Health/Watch", Count: 1}, ImplyStatus: true}, 0},
		{"conversation", (*traces).serveWebSocket, scenario.Step{WebSocket: &scenario.WebSocket{
			Path: "/", CloseCode: 1000, Script: []scenario.Action{{Expect: &scenario.Expectation{Text: &hello}}},
		}}, http.StatusSwitchingProtocols},
	} {
		for _, own := range []bool{false, true} {
			t.Run(tc.name+map[bool]string{true: " with its own"}[own], func(t *testing.T) {
				t.Parallel()
				seen := &traces{ids: map[string]bool{}}
				step := tc.step
				step.Name, step.Target, step.Timeout = "s", scenario.DefaultTarget, time.Minute
				if own {
					step = withParent(step)
				}
				sum := tracedRun(t, tc.serve(seen, t), step)
				seen.mu.Lock()
				defer seen.mu.Unlock()
				if n, failed := sum.Requests(); n != int64(seen.requests) || n == 0 || failed != 0 || len(seen.wrong) > 0 {
					t.Fatalf("%d requests, %d failed; the server counted %d, and %q", n, failed, seen.requests, seen.wrong)
				}
				if own {
					if len(seen.ids) != 1 || len(sum.Slowest) != 0 {
						t.Errorf("ids %v, slowest %v", seen.ids, sum.Slowest)
					}
					return
				}
				if n := len(seen.ids); n < seen.requests/4 || n > seen.requests*3/4 || len(sum.Slowest) != 1 {
					t.Errorf("%d of %d requests are traced, want half of them; slowest %v", n, seen.requests, sum.Slowest)
				}
				for _, x := range sum.Slowest {
					if !seen.ids[x.Trace] || x.Response <= 0 || x.Status != tc.status {
						t.Errorf("%+v is no request that the server has seen", x)
					}
				}
			})
		}
	}
}

// withParent gives a step a traceparent of its own.
func withParent(step scenario.Step) scenario.Step {
	parent := []scenario.Field{{Name: "traceparent", Value: givenParent}}
	if step.GRPC != nil {
		own := *step.GRPC
		own.Metadata, step.GRPC = parent, &own
		return step
	}
	own := *step.WebSocket
	own.Headers, step.WebSocket = parent, &own
	return step
}

// tracedRun executes 100 arrivals of a step at a target of which half are traced.
func tracedRun(t *testing.T, url string, step scenario.Step) metric.Second {
	t.Helper()
	plan := planOf(openPhase("p", [3]float64{100, 100, 1}))
	plan.Targets = map[string]scenario.Target{scenario.DefaultTarget: {URL: url, Trace: 0.5}}
	plan.AllowTargets = []string{"127.0.0.1"}
	plan.Flows["f"] = scenario.Flow{Steps: []scenario.Step{step}}
	clock := simClock{time.Now().Add(200 * time.Millisecond)}
	e := prepared(t, Options{Plan: plan, Clock: clock, Logger: hclog.NewNullLogger()})
	e.Apply(State{Revision: 1, Ranges: allRanges})
	e.SetLease(never)
	if err := e.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	sum := metric.NewSecond(0)
	sum.Merge(e.Seal(second(clock.Now())))
	return sum
}
