package load

import (
	"context"
	"crypto/tls"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"proofload/internal/load/schedule"
	"proofload/internal/run"
	"proofload/internal/scenario"
)

// register notes who has left and is not at work again.
type register struct {
	mu   sync.Mutex
	here map[int64]bool
}

// registering is a program whose iterations last d.
func registering(d time.Duration) (*register, *fakeProgram) {
	g := &register{here: map[int64]bool{}}
	return g, &fakeProgram{
		RunFn: func(_ context.Context, j *job) bool {
			g.mu.Lock()
			g.here[j.user] = true
			g.mu.Unlock()
			time.Sleep(d)
			return true
		},
		LeaveFn: func(user int64) {
			g.mu.Lock()
			defer g.mu.Unlock()
			delete(g.here, user)
		},
	}
}

// want compares those who have worked and not left since.
func (g *register) want(t *testing.T, when string, users ...int64) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if got := slices.Sorted(maps.Keys(g.here)); !slices.Equal(got, users) {
		t.Errorf("%s: %v are here, want %v", when, got, users)
	}
}

// TestUsersLeave: a user leaves when it is not active any more, not this worker's, out of data, or when its
// phase has ended; at once if it waits, and behind its iteration if it is at work.
func TestUsersLeave(t *testing.T) {
	paced := func(parts ...[3]float64) scenario.Phase {
		p := usersPhase("p", parts...)
		p.Pace = time.Hour
		return p
	}
	last := openPhase("last", [3]float64{0, 0, 7200})
	simulate(t, "waiting for an hour", func(t *testing.T) {
		g, program := registering(time.Second)
		r := newRig(t, planOf(paced([3]float64{4, 4, 10}, [3]float64{1, 1, 10}, [3]float64{3, 3, 10}), last), program)
		r.run()
		time.Sleep(9 * time.Second)
		g.want(t, "before the step down", 0, 1, 2, 3)
		time.Sleep(1500 * time.Millisecond)
		g.want(t, "behind the step down", 0)
		time.Sleep(10 * time.Second)
		g.want(t, "who comes back keeps its pace", 0)
		time.Sleep(10 * time.Second)
		g.want(t, "behind the phase")
		r.cancel()
		r.wait()
	})
	simulate(t, "at work", func(t *testing.T) {
		g, program := registering(8 * time.Second)
		r := newRig(t, planOf(usersPhase("p", [3]float64{4, 4, 10}, [3]float64{2, 2, 10}), last), program)
		r.run()
		time.Sleep(12 * time.Second)
		g.want(t, "in the second iteration", 0, 1, 2, 3)
		time.Sleep(5 * time.Second)
		g.want(t, "behind it", 0, 1)
		time.Sleep(5 * time.Second)
		g.want(t, "behind the phase, in the third", 0, 1)
		time.Sleep(3 * time.Second)
		g.want(t, "behind the third")
		r.cancel()
		r.wait()
	})
	simulate(t, "moved", func(t *testing.T) {
		g, program := registering(time.Second)
		r := newRig(t, planOf(paced([3]float64{4, 4, 60}), last), program)
		r.run()
		time.Sleep(2 * time.Second)
		g.want(t, "all of them", 0, 1, 2, 3)
		p := schedule.Residue(schedule.UserShard(2))
		r.Apply(State{Revision: 2, Ranges: []schedule.Range{{From: p, To: p + 1}, {From: 0, To: p, Until: 4 * time.Second}, {From: p + 1, To: scenario.Shards, Until: 4 * time.Second}}})
		time.Sleep(time.Second)
		g.want(t, "before the stamp", 0, 1, 2, 3)
		time.Sleep(time.Second + time.Millisecond)
		g.want(t, "from the stamp on", 2)
		r.Apply(State{Revision: 3})
		time.Sleep(time.Millisecond)
		g.want(t, "owning nothing")
		r.cancel()
		r.wait()
	})
	simulate(t, "out of data", func(t *testing.T) {
		g, program := registering(time.Second)
		program.AdmitFn = func(j *job) bool { return j.user != 1 || j.n < 3 }
		r := newRig(t, planOf(usersPhase("p", [3]float64{3, 3, 60}), last), program)
		r.run()
		time.Sleep(2500 * time.Millisecond)
		g.want(t, "with data", 0, 1, 2)
		time.Sleep(time.Second)
		g.want(t, "without", 0, 2)
		r.cancel()
		r.wait()
		g.want(t, "behind a stop")
	})
	simulate(t, "stopped", func(t *testing.T) {
		g, program := registering(time.Second)
		r := newRig(t, planOf(paced([3]float64{3, 3, 60})), program)
		r.run()
		time.Sleep(2 * time.Second)
		g.want(t, "waiting", 0, 1, 2)
		r.Apply(State{Revision: 2, Ranges: allRanges, Halt: true})
		r.wait()
		g.want(t, "behind a stop")
	})
}

// tally counts the connections that a server accepts, and those it has not closed, and notes where they and what comes
// over UDP are from. It is the server's view: an end that the client did not make is none.
type tally struct {
	net.Listener
	secure       *tls.Config // of a server that speaks TLS; nil: it does not
	mu           sync.Mutex
	opened, open int
	from         map[string]bool
	body         time.Duration // how long the body of an answer of HTTP is later than its head; 0: it has none
}

type tallied struct {
	net.Conn
	once  sync.Once
	close func()
}

// Accept implements net.Listener.
func (l *tally) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.saw(c.RemoteAddr())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened++
	l.open++
	return &tallied{Conn: c, close: func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.open--
	}}, nil
}

// Close implements net.Conn.
func (c *tallied) Close() error {
	c.once.Do(c.close)
	return c.Conn.Close()
}

func (l *tally) count() (opened, open int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.opened, l.open
}

// await waits until so many connections have been opened, and so many are open.
func (l *tally) await(t *testing.T, opened, open int) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		o, n := l.count()
		if o >= opened && n == open {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d connections were opened and %d are open, want %d and %d", o, n, opened, open)
		}
	}
}

// answer is what a server of HTTP does.
func (l *tally) answer(w http.ResponseWriter, _ *http.Request) {
	if l.body == 0 {
		return
	}
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	time.Sleep(l.body)
	_, _ = w.Write([]byte("late"))
}

func newTally(t *testing.T) *tally {
	t.Helper()
	return tallyAt(t, "127.0.0.1")
}

// tallyAt listens at an address of this machine.
func tallyAt(t *testing.T, host string) *tally {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return &tally{Listener: l, from: map[string]bool{}}
}

// saw notes where something is from.
func (l *tally) saw(remote net.Addr) {
	host, _, _ := net.SplitHostPort(remote.String())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.from[host] = true
}

// listener is that of a server, which speaks TLS if it has to.
func (l *tally) listener() net.Listener {
	if l.secure == nil {
		return l
	}
	return tls.NewListener(l, l.secure)
}

// target is the server as a target of what is spoken in clear text by such a scheme.
func (l *tally) target(scheme string) scenario.Target {
	t := scenario.Target{}
	if l.secure != nil {
		scheme = map[string]string{"http": "https", "grpc": "grpcs", "ws": "wss", "tcp": "tls"}[scheme]
		t.TLS = &scenario.TLS{NoVerify: true}
	}
	t.URL = scheme + "://" + l.Addr().String()
	return t
}

// packets returns a socket of UDP at the same address.
func (l *tally) packets(t *testing.T) net.PacketConn {
	t.Helper()
	host, _, _ := net.SplitHostPort(l.Addr().String())
	socket, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	return &talliedPackets{socket, l}
}

type talliedPackets struct {
	net.PacketConn
	tally *tally
}

// ReadFrom implements net.PacketConn.
func (p *talliedPackets) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := p.PacketConn.ReadFrom(b)
	if err == nil {
		p.tally.saw(from)
	}
	return n, from, err
}

// keeping serves a protocol whose connections users keep, and returns the target and a step.
type keeping struct {
	name string
	make func(t *testing.T, l *tally) (scenario.Target, scenario.Step)
}

func serveHTTP(t *testing.T, l *tally, version string) (scenario.Target, scenario.Step) {
	s := &http.Server{Handler: http.HandlerFunc(l.answer), ReadHeaderTimeout: time.Minute, Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(l.listener()) })
	t.Cleanup(func() { _ = s.Close(); wg.Wait() })
	target := l.target("http")
	target.HTTP = version
	return target, scenario.Step{HTTP: &scenario.HTTP{Method: http.MethodGet, Path: "/"}, ImplyStatus: true}
}

var kept = []keeping{
	{"HTTP/1.1", func(t *testing.T, l *tally) (scenario.Target, scenario.Step) { return serveHTTP(t, l, "1.1") }},
	{"HTTP/2", func(t *testing.T, l *tally) (scenario.Target, scenario.Step) { return serveHTTP(t, l, "2") }},
	{"gRPC", func(t *testing.T, l *tally) (scenario.Target, scenario.Step) {
		s := grpc.NewServer()
		healthv1.RegisterHealthServer(s, health.NewServer())
		reflection.Register(s)
		var wg sync.WaitGroup
		wg.Go(func() { _ = s.Serve(l.listener()) })
		t.Cleanup(func() { s.Stop(); wg.Wait() })
		return l.target("grpc"), scenario.Step{GRPC: &scenario.GRPC{Method: "grpc.health.v1.Health/Check"}, ImplyStatus: true}
	}},
	{"TCP", func(t *testing.T, l *tally) (scenario.Target, scenario.Step) {
		var wg sync.WaitGroup
		wg.Go(func() {
			from := l.listener()
			for c, err := from.Accept(); err == nil; c, err = from.Accept() {
				wg.Go(func() {
					defer func() { _ = c.Close() }()
					b := make([]byte, 1)
					for _, err := c.Read(b); err == nil; _, err = c.Read(b) {
						_, _ = c.Write(b)
					}
				})
			}
		})
		t.Cleanup(func() { _ = l.Close(); wg.Wait() })
		ping := "x"
		return l.target("tcp"),
			scenario.Step{Socket: &scenario.Socket{Script: []scenario.Action{{Send: &scenario.Payload{Text: &ping}}, {Expect: &scenario.Expectation{Size: 1}}}}}
	}},
}

// TestConnectionsOfUsers: a server sees the connections of users closed when these leave, while the run goes on.
func TestConnectionsOfUsers(t *testing.T) {
	t.Parallel()
	const users = 4
	for _, protocol := range kept {
		t.Run(protocol.name, func(t *testing.T) {
			t.Parallel()
			l := newTally(t)
			target, step := protocol.make(t, l)
			target.Connections = &scenario.Connections{Reuse: scenario.ReuseUser}
			step.Name, step.Target, step.Timeout = "s", scenario.DefaultTarget, time.Minute
			short, paced := usersPhase("short", [3]float64{users, users, 0.5}), usersPhase("paced", [3]float64{users, users, 3600})
			paced.After, paced.Pace = "short", time.Hour
			plan := planOf(short, paced)
			plan.Targets = map[string]scenario.Target{scenario.DefaultTarget: target}
			plan.Flows["f"] = scenario.Flow{Steps: []scenario.Step{step}}
			clock := simClock{time.Now()}
			e := prepared(t, Options{Plan: plan, Clock: clock, Logger: hclog.NewNullLogger()})
			before, _ := l.count()
			l.await(t, before, 0) // what asked for the descriptors has gone
			e.Apply(State{Revision: 1, Ranges: allRanges})
			e.SetLease(never)
			ctx, cancel := context.WithCancel(context.Background())
			var wg sync.WaitGroup
			wg.Go(func() { _ = e.Run(ctx) })
			defer wg.Wait()
			defer cancel()
			l.await(t, before+1, 0) // the phase has ended; the next one has to be started
			before, _ = l.count()
			history := run.History{{Kind: run.ChangePhaseStart, Phase: "paced", At: clock.Now()}}
			e.Apply(State{Revision: 2, Ranges: allRanges, History: history})
			l.await(t, before+users, users)
			history = append(history, run.Change{Kind: run.ChangeScale, At: clock.Now(), Factor: 0.5})
			e.Apply(State{Revision: 3, Ranges: allRanges, History: history})
			l.await(t, before+users, users/2)
			e.Apply(State{Revision: 4, History: history})
			l.await(t, before+users, 0)
			if errs := errorsOf(e.Seal(second(clock.Now()))); len(errs) > 0 {
				t.Errorf("errors %v", errs)
			}
		})
	}
}
