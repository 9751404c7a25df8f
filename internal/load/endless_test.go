package load

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/quic-go/quic-go/http3"

	"proofload/internal/scenario"
)

// flood writes until nobody takes it any more.
func flood(w io.Writer) {
	b := make([]byte, 1<<16)
	for _, err := w.Write(b); err == nil; _, err = w.Write(b) {
	}
}

// floodHTTP answers with a body that does not end; of a call, with a message that says it is the largest there can be.
func floodHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		w.Header().Set("Content-Type", "application/grpc")
		_, _ = w.Write([]byte{0, 0xff, 0xff, 0xff, 0xff})
	}
	flood(w)
}

// floodWebSocket sends a message of frames without a last one.
func floodWebSocket(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = c.CloseNow() }()
	if m, err := c.Writer(r.Context(), websocket.MessageBinary); err == nil {
		flood(m)
	}
}

// TestEndlessAnswers: whatever is spoken, an answer that does not end is an error of kind body, soon, and not a timeout
// or a worker without memory; the next request is made all the same.
func TestEndlessAnswers(t *testing.T) {
	t.Parallel()
	answers := func(t *testing.T) string { return serveClear(t, floodHTTP) }
	for name, serve := range map[string]func(t *testing.T) string{
		"HTTP/1.1":     answers,
		"HTTP/2":       answers,
		"gRPC":         answers,
		"gRPC, stream": answers,
		"WebSocket":    func(t *testing.T) string { return serveClear(t, floodWebSocket) },
		"TCP":          func(t *testing.T) string { return serveRaw(t, func(c *net.TCPConn) { flood(c) }) },
		"TLS": func(t *testing.T) string {
			cfg := lentTLS(t)
			return serveRaw(t, func(c *net.TCPConn) { flood(tls.Server(c, cfg)) })
		},
		"HTTP/3": func(t *testing.T) string {
			socket := newTally(t).packets(t)
			s := &http3.Server{Handler: http.HandlerFunc(floodHTTP), TLSConfig: http3.ConfigureTLSConfig(lentTLS(t))}
			var wg sync.WaitGroup
			wg.Go(func() { _ = s.Serve(socket) })
			t.Cleanup(func() { _, _ = s.Close(), socket.Close(); wg.Wait() })
			return socket.LocalAddr().String()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := asks()[name]
			if a.step.Socket != nil {
				end := "x"
				a.step.Socket.Script[1].Expect = &scenario.Expectation{Until: &end}
			}
			plan := a.plan(serve(t))
			target := plan.Targets[scenario.DefaultTarget]
			if name == "TLS" || name == "HTTP/3" {
				target.TLS = &scenario.TLS{NoVerify: true}
			}
			plan.Targets[scenario.DefaultTarget] = target
			wantFailed(t, plan, "body")
		})
	}
}
