package load

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/quic-go/quic-go/http3"

	"proofload/internal/metric"
	"proofload/internal/scenario"
)

// spoken serves each protocol over a network.
func spoken() []keeping {
	return append(slices.Clone(kept),
		keeping{"gRPC, stream", func(t *testing.T, l *tally) (scenario.Target, scenario.Step) {
			i := slices.IndexFunc(kept, func(k keeping) bool { return k.name == "gRPC" })
			target, step := kept[i].make(t, l)
			step.GRPC = &scenario.GRPC{Method: "grpc.health.v1.Health/Watch", Count: 1}
			return target, step
		}},
		keeping{"HTTP/3", func(t *testing.T, l *tally) (scenario.Target, scenario.Step) {
			socket := l.packets(t)
			cfg := http3.ConfigureTLSConfig(lentTLS(t))
			s := &http3.Server{Handler: http.HandlerFunc(l.answer), TLSConfig: cfg}
			var wg sync.WaitGroup
			wg.Go(func() { _ = s.Serve(socket) })
			t.Cleanup(func() { _, _ = s.Close(), socket.Close(); wg.Wait() })
			return scenario.Target{URL: "https://" + socket.LocalAddr().String(), HTTP: "3", TLS: &scenario.TLS{NoVerify: true}},
				scenario.Step{HTTP: &scenario.HTTP{Method: http.MethodGet, Path: "/"}, ImplyStatus: true}
		}},
		keeping{"WebSocket", func(t *testing.T, l *tally) (scenario.Target, scenario.Step) {
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if c, err := websocket.Accept(w, r, nil); err == nil {
					_, _, _ = c.Reader(r.Context())
				}
			}))
			_ = s.Listener.Close()
			s.Listener = l.listener()
			s.Start()
			t.Cleanup(s.Close)
			return l.target("ws"), scenario.Step{WebSocket: &scenario.WebSocket{Path: "/", CloseCode: 1000}}
		}},
		keeping{"UDP", func(t *testing.T, l *tally) (scenario.Target, scenario.Step) {
			socket := l.packets(t)
			var wg sync.WaitGroup
			wg.Go(func() {
				b := make([]byte, 1)
				for n, from, err := socket.ReadFrom(b); err == nil; n, from, err = socket.ReadFrom(b) {
					_, _ = socket.WriteTo(b[:n], from)
				}
			})
			t.Cleanup(func() { _ = socket.Close(); wg.Wait() })
			ping := "x"
			return scenario.Target{URL: "udp://" + socket.LocalAddr().String()},
				scenario.Step{Socket: &scenario.Socket{Script: []scenario.Action{{Send: &scenario.Payload{Text: &ping}}, {Expect: &scenario.Expectation{Text: &ping}}}}}
		}},
	)
}

// lentTLS is the configuration of a server with a certificate that nobody has signed.
func lentTLS(t *testing.T) *tls.Config {
	t.Helper()
	lender := httptest.NewTLSServer(nil)
	lender.Close()
	return &tls.Config{Certificates: lender.TLS.Certificates, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
}

// wayRow is a row of a table of what is spoken with a target.
type wayRow struct {
	protocol keeping
	dense    float64 // from which rate on the pacer sends itself
}

// ways is each protocol, and what the pacer sends itself.
func ways() []wayRow {
	var out []wayRow
	for _, k := range spoken() {
		out = append(out, wayRow{k, neverDense})
		if k.name == "HTTP/1.1" {
			k.name = "HTTP/1.1, by the pacer itself"
			out = append(out, wayRow{k, alwaysDense})
		}
	}
	return out
}

// load makes requests at host, which leads to the server of l, over new connections unless the pacer sends them.
func (w wayRow) load(t *testing.T, l *tally, host string, change func(*scenario.Target)) metric.Second {
	t.Helper()
	target, step := w.protocol.make(t, l)
	u, err := url.Parse(target.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = net.JoinHostPort(host, u.Port())
	target.URL, target.Connections = u.String(), &scenario.Connections{Reuse: scenario.ReuseNever}
	if w.dense == alwaysDense {
		target.Connections.Reuse = ""
	}
	change(&target)
	step.Name, step.Target, step.Timeout = "s", scenario.DefaultTarget, time.Minute
	for sent := int64(30); sent < 10_000; sent *= 2 {
		phase := openPhase("p", [3]float64{300, 300, float64(sent) / 300})
		phase.Late = time.Minute // a machine without a free core is no error of this test
		plan := planOf(phase)
		plan.Targets = map[string]scenario.Target{scenario.DefaultTarget: target}
		plan.Flows["f"] = scenario.Flow{Steps: []scenario.Step{step}}
		var e *Engine
		s, _ := paced(t, plan, w.dense, func(own *Engine) { e = own })
		a := s.Arrivals[metric.ArrivalKey{Phase: "p", Flow: "f"}]
		if requests, failed := s.Requests(); a.Sent != sent || requests != a.Sent || failed != 0 {
			t.Fatalf("arrivals %+v, %d requests, errors %v, want %d without any", *a, requests, errorsOf(s), sent)
		}
		n := s.Select(metric.ConnectTime, nil).Count()
		switch {
		case w.dense == neverDense && n != uint64(a.Sent):
			t.Fatalf("%d connections were opened for %d requests", n, a.Sent)
		case w.dense == neverDense, n > 0 && e.express.sent > 0:
			return s
		}
		// When all of them are due at once there is no connection yet over which the pacer could send: more come next time.
	}
	t.Fatal("the pacer has sent nothing itself, or no connection was counted")
	return metric.Second{}
}

// TestWaysByProtocol: whatever is spoken, fixed addresses are where a name leads to that nobody knows, and connections
// leave from the source that the scenario names; nobody is asked for the name.
func TestWaysByProtocol(t *testing.T) {
	const source = "127.0.0.3"
	if l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", source+":0"); err != nil {
		t.Skipf("this machine has no address %s: %v", source, err)
	} else {
		_ = l.Close()
	}
	for _, way := range ways() {
		t.Run(way.protocol.name, func(t *testing.T) {
			l := newTally(t)
			s := way.load(t, l, "name.invalid", func(target *scenario.Target) {
				target.DNS = &scenario.DNS{Addresses: []string{"127.0.0.1"}}
				target.Connections.Source = []string{source}
			})
			l.mu.Lock()
			defer l.mu.Unlock()
			if len(l.from) != 1 || !l.from[source] {
				t.Errorf("the server was reached from %v, want %s only", l.from, source)
			}
			if n := s.Select(metric.DNSTime, nil).Count(); n != 0 {
				t.Errorf("a name was asked for %d times", n)
			}
		})
	}
}

// TestPartsOfConnecting: whatever is spoken, each connection to a name asks for it, and each over TLS of TCP has its
// handshake; neither takes longer than the whole of it. Of QUIC the handshake is that of TLS as well, and counts as none.
func TestPartsOfConnecting(t *testing.T) {
	local := localhost(t)
	for _, secure := range []bool{false, true} {
		for _, way := range ways() {
			if secure && (way.protocol.name == "UDP" || way.protocol.name == "HTTP/3" || way.dense == alwaysDense) {
				continue // it has no other TLS, or none that the pacer speaks itself
			}
			t.Run(way.protocol.name+map[bool]string{true: " over TLS"}[secure], func(t *testing.T) {
				l := tallyAt(t, local)
				if secure {
					l.secure = lentTLS(t)
				}
				s := way.load(t, l, "localhost", func(*scenario.Target) {})
				connect := s.Select(metric.ConnectTime, nil)
				want := map[string]uint64{metric.DNSTime: connect.Count(), metric.TLSTime: 0}
				if secure {
					want[metric.TLSTime] = connect.Count()
				}
				for name, n := range want {
					part := s.Select(name, nil)
					if part.Count() != n || n > 0 && part.Max() > connect.Max() {
						t.Errorf("%s was observed %d times, want %d, and is %v at most, of %v", name, part.Count(), n, part.Max(), connect.Max())
					}
				}
			})
		}
	}
}

// localhost returns the first address of that name that this machine has.
func localhost(t *testing.T) string {
	t.Helper()
	found, err := net.DefaultResolver.LookupHost(t.Context(), "localhost")
	if err != nil {
		t.Skipf("this machine has no localhost: %v", err)
	}
	for _, host := range found {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(host, "0"))
		if err == nil {
			_ = l.Close()
			return host
		}
	}
	t.Skipf("localhost is %s, of which this machine has none", strings.Join(found, ", "))
	return ""
}

// TestFirstByteTime: of every request of HTTP it is counted when its answer began, and that is not when it ended. Other
// protocols have times of their own.
func TestFirstByteTime(t *testing.T) {
	t.Parallel()
	const late = 50 * time.Millisecond
	for _, w := range ways() {
		t.Run(w.protocol.name, func(t *testing.T) {
			t.Parallel()
			l := newTally(t)
			l.body = late
			s := w.load(t, l, "127.0.0.1", func(*scenario.Target) {})
			requests, _ := s.Requests()
			first, service := s.Select(metric.FirstByteTime, nil), s.Select(metric.ServiceTime, nil)
			if !strings.HasPrefix(w.protocol.name, "HTTP") {
				if first.Count() != 0 {
					t.Errorf("%d answers began", first.Count())
				}
				return
			}
			if first.Count() != uint64(requests) || first.Min() <= 0 || first.Min() >= late || service.Min() < late {
				t.Errorf("%d of %d answers began, the first of them after %v, and ended after %v", first.Count(), requests, first.Min(), service.Min())
			}
		})
	}
}
