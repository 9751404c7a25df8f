package httpload_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"proofload/internal/load/httpload"
	"proofload/internal/load/transport"
)

// pending is requests that go by halves, with a collector that the test itself drives.
type pending struct {
	httpload.Pending
	collector *transport.Collector
	told      int
	resp      httpload.Response
}

// Ready implements transport.Receiver.
func (p *pending) Ready() { p.told++ }

func newPending(t *testing.T, target string, change ...func(*httpload.Options)) *pending {
	t.Helper()
	o, err := transport.NewCollector()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system has no epoll to collect answers with")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
	p := &pending{collector: o}
	p.Receiver = p
	p.Client = newClient(t, target, append(change, func(opts *httpload.Options) { opts.Collector = o })...)
	return p
}

// during collects until f has returned.
func (p *pending) during(f func() error) error {
	done := make(chan error)
	go func() { done <- f() }()
	for {
		select {
		case err := <-done:
			return err
		case <-time.After(100 * time.Microsecond):
			p.collector.Collect()
		}
	}
}

// open makes the first request on a connection, which is the collector's from then on.
func (p *pending) open(t *testing.T) {
	t.Helper()
	err := p.during(func() error {
		return p.Client.Do(t.Context(), &httpload.Request{Method: "GET", Collect: true}, &p.resp)
	})
	if err != nil {
		t.Fatal(err)
	}
	p.collector.Collect()
}

// send sends by halves, on a connection that is open.
func (p *pending) send(ctx context.Context, req httpload.Request) bool {
	req.Began = time.Now()
	return p.Send(ctx, &req, &p.resp)
}

// receive waits until something has come and takes it in; parts says that Receive could not do all.
func (p *pending) receive() (parts bool, err error) {
	for told := p.told; p.told == told; time.Sleep(100 * time.Microsecond) {
		p.collector.Collect()
	}
	if p.Receive() {
		return false, nil
	}
	return true, p.during(p.Finish)
}

// afterFirst is a server that answers the first request of each connection well, and then does as handle does.
func afterFirst(handle func(*net.TCPConn)) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		if readRequest(bufio.NewReader(c)) {
			_, _ = io.WriteString(c, ok200+"Content-Length: 0\r\n\r\n")
			handle(c)
		}
	}
}

// seen is what a client makes of an answer.
type seen struct {
	kind            transport.Kind
	op, body        string
	status          int
	size, in        int64
	idle, accepted  int
	reused, counted bool
	dated           bool // it began between being sent and its end, or not at all
}

func look(err error, resp *httpload.Response, c *httpload.Client, s *rawServer) seen {
	out := seen{
		body: string(resp.Body), status: resp.Status, size: resp.BodySize, in: resp.BytesIn, idle: c.Idle(), accepted: s.accepted(),
		reused: resp.Reused, counted: resp.BytesOut > 0 && !resp.Sent.IsZero() && !resp.End.Before(resp.Sent),
		dated: resp.FirstByte.IsZero(),
	}
	if resp.Status != 0 {
		out.dated = !resp.FirstByte.Before(resp.Sent) && !resp.FirstByte.After(resp.End)
	}
	if e, ok := errors.AsType[*transport.Error](err); ok {
		out.kind, out.op = e.Kind, e.Op
	}
	if out.kind == transport.KindTimeout || out.kind == transport.KindBody || out.kind == transport.KindReset {
		out.size, out.in, out.body = 0, 0, "" // how much came until then differs from time to time
	}
	return out
}

// sameByHalves sends the second request of a connection in both ways to a server, and wants the same to come of it.
func sameByHalves(t *testing.T, handle func(*net.TCPConn), req httpload.Request) (parts bool) {
	t.Helper()
	s := serveRaw(t, afterFirst(handle))
	plain := newClient(t, s.url(), limits)
	var resp httpload.Response
	if err := plain.Do(t.Context(), &httpload.Request{Method: "GET"}, &resp); err != nil {
		t.Fatal(err)
	}
	want := look(plain.Do(t.Context(), &req, &resp), &resp, plain, s)
	other := serveRaw(t, afterFirst(handle))
	p := newPending(t, other.url(), limits)
	p.open(t)
	if !p.send(t.Context(), req) {
		t.Fatal("not sent")
	}
	parts, err := p.receive()
	if got := look(err, &p.resp, p.Client, other); got != want {
		t.Errorf("by halves %+v (%v)\nwant      %+v", got, err, want)
	}
	return parts
}

// TestPendingIsLikeDo: what comes of an answer does not depend on how it is received.
func TestPendingIsLikeDo(t *testing.T) {
	for _, tt := range wellFormed() {
		t.Run(tt.name, func(t *testing.T) {
			sameByHalves(t, answer(tt.text, tt.last), httpload.Request{Method: tt.method, Timeout: 30 * time.Second})
		})
	}
	for _, tt := range misbehaviours() {
		switch tt.name {
		case "banner of another protocol, then silence", "banner of SSH, and then closed", "alert of TLS", "settings of HTTP/2":
			continue // they speak before they are asked: such a connection is not used again
		}
		t.Run(tt.name, func(t *testing.T) {
			req := httpload.Request{Method: "GET", Timeout: 30 * time.Second}
			if tt.kind == transport.KindTimeout {
				req.Timeout = 20 * time.Millisecond
			}
			sameByHalves(t, tt.handle, req)
		})
	}
}

// TestPendingReceivesAtOnce: an answer that has come whole needs nobody who waits, and one that has not does.
func TestPendingReceivesAtOnce(t *testing.T) {
	text := chunks("3\r\nabc\r\n2\r\nde\r\n0\r\nA: b\r\n\r\n")
	if sameByHalves(t, answer(text, false), httpload.Request{Method: "GET"}) {
		t.Error("a whole answer was taken for a part")
	}
	for cut := 1; cut < len(text); cut += 5 {
		halves := func(c *net.TCPConn) {
			r := bufio.NewReader(c)
			for readRequest(r) {
				_, _ = io.WriteString(c, text[:cut])
				time.Sleep(5 * time.Millisecond)
				_, _ = io.WriteString(c, text[cut:])
			}
		}
		sameByHalves(t, halves, httpload.Request{Method: "GET"})
	}
	long := strings.Repeat("x", 90_000)
	if !sameByHalves(t, answer(ok200+"Content-Length: 90000\r\n\r\n"+long, false), httpload.Request{Method: "GET"}) {
		t.Error("a long answer was taken in by one read")
	}
}

// TestPendingIsNotSent: without an open connection, on one that the server has closed, and where nothing may be collected,
// nothing is sent.
func TestPendingIsNotSent(t *testing.T) {
	var requests atomic.Int64
	closed := make(chan struct{})
	s := serveRaw(t, func(c *net.TCPConn) {
		if readRequest(bufio.NewReader(c)) {
			requests.Add(1)
			_, _ = io.WriteString(c, ok200+"Content-Length: 0\r\n\r\n")
			_ = c.Close()
			closed <- struct{}{}
		}
	})
	get := httpload.Request{Method: "GET"}
	p := newPending(t, s.url())
	if p.send(t.Context(), get) {
		t.Error("sent without a connection")
	}
	_ = p.during(func() error { // the server says whether it came
		return p.Client.Do(t.Context(), &httpload.Request{Method: "GET", Collect: true}, &p.resp)
	})
	<-closed
	time.Sleep(time.Millisecond) // nobody has looked for so long
	if p.send(t.Context(), get) {
		t.Error("sent over a connection that the server has closed")
	}
	if n := requests.Load(); n != 1 || p.Client.Idle() != 0 {
		t.Errorf("%d requests, %d idle connections", n, p.Client.Idle())
	}
	good := serveRaw(t, answer(ok200+"Content-Length: 0\r\n\r\n", false))
	for name, tt := range map[string]struct {
		change func(*httpload.Options)
		req    httpload.Request
	}{
		"fresh":      {func(o *httpload.Options) { o.Fresh = true }, get},
		"large body": {nil, httpload.Request{Method: "POST", Body: make([]byte, 40<<10)}},
		"bad method": {nil, httpload.Request{Method: "G T"}},
	} {
		var change []func(*httpload.Options)
		if tt.change != nil {
			change = append(change, tt.change)
		}
		p := newPending(t, good.url(), change...)
		p.open(t)
		if p.send(t.Context(), tt.req) {
			t.Errorf("%s: sent", name)
		}
	}
	p = newPending(t, good.url())
	p.open(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if p.send(ended, get) {
		t.Error("sent after the end")
	}
}

// TestPendingIsCut: the end of the context ends a request, at the next Collect.
func TestPendingIsCut(t *testing.T) {
	s := serveRaw(t, afterFirst(hang))
	p := newPending(t, s.url())
	p.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	if !p.send(ctx, httpload.Request{Method: "GET"}) {
		t.Fatal("not sent")
	}
	if p.collector.Collect(); p.told != 0 {
		t.Fatal("told of nothing")
	}
	cancel()
	_, err := p.receive()
	wantKind(t, err, transport.KindCancelled)
}

// TestConnectionsMove: a connection serves requests of both ways, so that there are not more of them than are in use.
func TestConnectionsMove(t *testing.T) {
	s := serveRaw(t, answer(ok200+"Content-Length: 2\r\n\r\nok", false))
	p := newPending(t, s.url())
	for range 3 {
		if err := p.Client.Do(t.Context(), &httpload.Request{Method: "GET"}, &p.resp); err != nil {
			t.Fatal(err)
		}
		if !p.send(t.Context(), httpload.Request{Method: "GET"}) {
			t.Fatal("not sent")
		}
		if parts, err := p.receive(); parts || err != nil {
			t.Fatal(parts, err)
		}
		p.open(t)
	}
	if n := s.accepted(); n != 1 || p.Client.Idle() != 1 {
		t.Errorf("%d connections, %d of them idle", n, p.Client.Idle())
	}
}

// TestPendingDates: a response ended when it came, however late it is collected. The kernel begins to note times some time
// after it was asked, so the first ones do not count.
func TestPendingDates(t *testing.T) {
	const later, slack = 50 * time.Millisecond, 5 * time.Millisecond
	answered := make(chan time.Time)
	s := serveRaw(t, afterFirst(func(c *net.TCPConn) {
		for r := bufio.NewReader(c); readRequest(r); answered <- time.Now() {
			_, _ = io.WriteString(c, ok200+"Content-Length: 2\r\n\r\nok")
		}
	}))
	p := newPending(t, s.url())
	p.open(t)
	var late time.Duration
	for range 10 {
		if !p.send(t.Context(), httpload.Request{Method: "GET"}) {
			t.Fatal("not sent")
		}
		at := <-answered
		time.Sleep(later)
		if parts, err := p.receive(); parts || err != nil {
			t.Fatal(parts, err)
		}
		if p.resp.End.Before(p.resp.Sent) {
			t.Errorf("ended %v before it was sent", p.resp.Sent.Sub(p.resp.End))
		}
		if late = p.resp.End.Sub(at); late < slack {
			return
		}
	}
	t.Errorf("ended %v after the server had answered", late)
}

func TestPendingNoAllocations(t *testing.T) {
	p := newPending(t, echoServer(t))
	p.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req := httpload.Request{Method: "GET", Path: "/", Began: time.Now()}
	var failed error
	run := func() {
		if !p.Send(ctx, &req, &p.resp) {
			failed = errors.New("not sent")
			return
		}
		for told := p.told; p.told == told; time.Sleep(50 * time.Microsecond) { // for the server, too, runs in this process
			p.collector.Collect()
		}
		if !p.Receive() {
			failed = errors.Join(errors.New("received in parts"), p.Finish())
		}
	}
	run()
	if n := testing.AllocsPerRun(200, run); n > 0 || failed != nil {
		t.Errorf("%v allocations per request, %v", n, failed)
	}
}

// TestOtherPoolAges: connections of a way that is not gone any more are closed when their time is over, while those of
// the other one are in use.
func TestOtherPoolAges(t *testing.T) {
	const together = 40
	arrived, gate := make(chan struct{}, together), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/together" {
			arrived <- struct{}{}
			<-gate
		}
	}))
	defer s.Close()
	p := newPending(t, s.URL, func(o *httpload.Options) { o.IdleTimeout = 300 * time.Millisecond })
	err := p.during(func() error {
		var wg sync.WaitGroup
		for range together {
			wg.Go(func() {
				var resp httpload.Response
				if err := p.Client.Do(t.Context(), &httpload.Request{Method: "GET", Path: "/together", Collect: true}, &resp); err != nil {
					t.Error(err)
				}
			})
		}
		for range together {
			<-arrived
		}
		close(gate)
		wg.Wait()
		return nil
	})
	if n := p.Client.Idle(); err != nil || n < 2 {
		t.Fatalf("%d idle, %v", n, err)
	}
	for deadline := time.Now().Add(time.Minute); p.Client.Idle() > 1; {
		if err := p.Client.Do(t.Context(), &httpload.Request{Method: "GET"}, &p.resp); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are still idle", p.Client.Idle())
		}
	}
}
