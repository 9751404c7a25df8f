package load

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"proofload/internal/metric"
	"proofload/internal/scenario"
)

// wantFailed runs a plan to its end, each of whose requests is to fail with an error of a kind. Of the target's kinds
// none excuses the iteration or the worker.
func wantFailed(t *testing.T, plan *scenario.Plan, kind string) {
	t.Helper()
	s := execute(t, plan, describing)
	a := s.Arrivals[metric.ArrivalKey{Phase: "p", Flow: "f"}]
	if a.Sent == 0 || a.Failed != a.Sent || a.Succeeded != 0 || a.InFlight != 0 {
		t.Errorf("arrivals %+v, want all failed", *a)
	}
	requests, failed := s.Requests()
	if got := errorsOf(s); requests != a.Sent || failed != requests || len(got) != 1 || got[kind] != uint64(requests) {
		t.Errorf("%d requests, errors %v, want %d times %s", requests, got, a.Sent, kind)
	}
	if o := metric.OriginOf(kind); o != metric.OriginTarget {
		t.Errorf("%s is of the origin %v", kind, o)
	}
	for labels := range s.Matching(metric.ResponseTime, nil) {
		if labels.Get("outcome") != "failed" {
			t.Errorf("a request was %v", labels)
		}
	}
	blamed := s.Select(metric.Iterations, func(l metric.Labels) bool { return l.Get("outcome") == "failed" && l.Get("error") == "" })
	if blamed.Count() != uint64(a.Sent) || slices.Contains(s.Causes, CauseResources) {
		t.Errorf("%d of %d iterations are blamed on the target, causes %v", blamed.Count(), a.Sent, s.Causes)
	}
}

// describing lets an engine call and execute all that asks and these tests do.
func describing(o *Options) {
	o.AllowProgram = func(string) error { return nil }
	o.Files = func(digest string) ([]byte, error) {
		if digest != "proto" {
			return nil, errors.New("no such file")
		}
		return []byte(protoFile), nil
	}
}

// TestErrorKindsByProtocol: the same failure of a server has the same name whatever is spoken.
func TestErrorKindsByProtocol(t *testing.T) {
	t.Parallel()
	overTCP := []string{"HTTP/1.1", "HTTPS", "HTTP/2", "gRPC", "gRPC, stream", "WebSocket", "TCP", "TLS"}
	framed := []string{"HTTP/2", "gRPC", "gRPC, stream"}
	for _, tt := range []struct {
		name, kind string
		asked      []string
		serve      func(*net.TCPConn) // nil: nobody listens
	}{
		{"refuses", "connect", overTCP, nil},
		{"never answers", "timeout", overTCP, silence},
		{"ends the connection", "closed", overTCP, goodbye},
		{"resets the connection", "reset", overTCP, slam},
		{"speaks something else", "not_spoken", []string{"HTTP/1.1", "HTTPS", "HTTP/2", "gRPC", "gRPC, stream", "WebSocket", "TLS"}, banner},
		{"resets streams", "stream_reset", framed, streams(func(p *framing, id uint32) { _ = p.WriteRSTStream(id, http2.ErrCodeInternal) })},
		{"gives connections up", "goaway", framed, streams(func(p *framing, _ uint32) { _ = p.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, nil) })},
		{"ends connections with streams", "closed", framed, streams(func(p *framing, _ uint32) { _ = p.conn.CloseWrite() })},
		{"resets connections with streams", "reset", framed, streams(func(p *framing, _ uint32) {
			_ = p.conn.SetLinger(0)
			_ = p.conn.Close()
		})},
		{"compresses nothing", "protocol", framed, streams(func(p *framing, id uint32) {
			_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: bytes.Repeat([]byte{0xff}, 20), EndHeaders: true})
		})},
		{"frames what is none", "protocol", framed, streams(func(p *framing, id uint32) { _ = p.WriteRawFrame(http2.FrameSettings, 0, id, nil) })},
		{"answers without a status", "protocol", framed[:2], streams(func(p *framing, id uint32) { p.head(id, true, "content-type", "application/grpc") })},
	} {
		for _, name := range tt.asked {
			t.Run(tt.name+", "+name, func(t *testing.T) {
				t.Parallel()
				addr := gone(t)
				if tt.serve != nil {
					addr = serveRaw(t, tt.serve)
				}
				a := asks()[name]
				if tt.kind == "timeout" {
					a.step.Timeout = 50 * time.Millisecond
				}
				wantFailed(t, a.plan(addr), tt.kind)
			})
		}
	}
}

// TestErrorKindsOverUDP: ports that nobody listens on and those that nobody answers from have their kinds over UDP, too.
func TestErrorKindsOverUDP(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"HTTP/3", "UDP"} {
		for kind, here := range map[string]bool{"connect": false, "timeout": true} {
			t.Run(kind+", "+name, func(t *testing.T) {
				t.Parallel()
				socket := newTally(t).packets(t)
				a := asks()[name]
				if a.step.Timeout = 50 * time.Millisecond; !here {
					_ = socket.Close()
					a.step.Timeout = time.Minute
				}
				wantFailed(t, a.plan(socket.LocalAddr().String()), kind)
			})
		}
	}
}

const answered = "HTTP/1.1 200 OK\r\n"

// TestErrorKinds: what a server of HTTP/1.1 does wrong, or what its answer does not hold, has its kind.
func TestErrorKinds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, kind string
		serve      func(*net.TCPConn)
		change     func(*scenario.Step)
	}{
		{"resets within the answer", "reset", says(answered+"Content-Length: 9\r\n\r\nabc", func(c *net.TCPConn) { _ = c.SetLinger(0) }), nil},
		{"ends within the head", "closed", says(answered+"A: ", goodbye), nil},
		{"ends within a chunk", "closed", says(answered+"Transfer-Encoding: chunked\r\n\r\n9\r\nabc", goodbye), nil},
		{"never ends the answer", "timeout", says(answered+"Content-Length: 9\r\n\r\nabc", silence), func(s *scenario.Step) { s.Timeout = 50 * time.Millisecond }},
		{"malformed head", "protocol", says(answered+"no field\r\n\r\n", silence), nil},
		{"shorter than its length", "length", says(answered+"Content-Length: 9\r\n\r\nabc", goodbye), nil},
		{"longer than its length", "length", says(answered+"Content-Length: 2\r\n\r\nabc", silence), nil},
		{"announces too large a body", "body", says(answered+"Content-Length: 99999999999\r\n\r\n", silence), nil},
		{"endless body", "body", says(answered+"Transfer-Encoding: chunked\r\n\r\n", endless), nil},
		{"status", "check", says("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", nil), nil},
		{"expectation", "check", says(answered+"Content-Length: 2\r\n\r\n{}", nil), func(s *scenario.Step) { s.Expect = []string{"size == 3"} }},
		{"no JSON", "not_json", says(answered+"Content-Length: 4\r\n\r\nnone", nil), func(s *scenario.Step) { s.Expect = []string{"json.a == 1"} }},
		{"no XML", "not_xml", says(answered+"Content-Length: 4\r\n\r\nnone", nil), func(s *scenario.Step) { s.Expect = []string{`xpath("/a") == "1"`} }},
		{"nothing to save", "extract", says(answered+"Content-Length: 2\r\n\r\n{}", nil), func(s *scenario.Step) { s.Save = []scenario.Expression{{Name: "a", Source: "json.a"}} }},
		{"nothing to measure", "extract", says(answered+"Content-Length: 2\r\n\r\n{}", nil), func(s *scenario.Step) { s.Measure = []scenario.Measure{{Name: "a", Source: "json.a"}} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := asks()["HTTP/1.1"]
			if tt.change != nil {
				tt.change(&a.step)
			}
			wantFailed(t, a.plan(serveRaw(t, tt.serve)), tt.kind)
		})
	}
}

// TestErrorKindsOfTargets: an answer that a target's settings make wrong has its kind, and so has a handshake.
func TestErrorKindsOfTargets(t *testing.T) {
	t.Parallel()
	away := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://shop.invalid/", http.StatusFound)
	}
	coded := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write([]byte("this is none"))
	}
	for _, tt := range []struct {
		name, kind, asked string
		handle            http.HandlerFunc
		change            func(*scenario.Target)
	}{
		{"redirects out of the scenario", "redirect", "HTTP/1.1", away, func(t *scenario.Target) { t.Redirects = 3 }},
		{"another coding than it says", "encoding", "HTTP/1.1", coded, func(t *scenario.Target) { t.Compression = "gzip" }},
		{"refuses WebSockets", "handshake", "WebSocket", http.NotFound, nil},
		{"knows no WebSockets", "not_spoken", "WebSocket", func(http.ResponseWriter, *http.Request) {}, nil},
		{"knows no gRPC", "not_spoken", "gRPC", func(http.ResponseWriter, *http.Request) {}, nil},
		{"knows no gRPC, stream", "not_spoken", "gRPC, stream", http.NotFound, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			plan := asks()[tt.asked].plan(serveClear(t, tt.handle))
			target := plan.Targets[scenario.DefaultTarget]
			if tt.change != nil {
				tt.change(&target)
			}
			plan.Targets[scenario.DefaultTarget] = target
			wantFailed(t, plan, tt.kind)
		})
	}
}

// TestErrorKindsOfPrograms: a program that fails, and one that does not end, have their kinds.
func TestErrorKindsOfPrograms(t *testing.T) {
	t.Parallel()
	for kind, script := range map[string]string{"exit": "exit 3", "no_exit": "exec sleep 600"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			a := asking{scheme: "http", step: scenario.Step{
				Name: "s", Timeout: 200 * time.Millisecond, ImplyStatus: true, Program: &scenario.Program{Argv: []string{"/bin/sh", "-c", script}, KillAfter: time.Minute},
			}}
			if kind == "exit" {
				a.step.Timeout = time.Minute
			}
			wantFailed(t, a.plan("127.0.0.1:1"), kind)
		})
	}
}
