package http2load_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"proofload/internal/load/httpload"
	"proofload/internal/load/httpload/http2load"
	"proofload/internal/load/transport"
)

// TestWhatTheServerSees: over TLS and in clear text a request arrives as it was made, and the answer as it was
// given, with instants and sizes that fit.
func TestWhatTheServerSees(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprint("secure ", secure), func(t *testing.T) {
			s, trust := serve(t, secure, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				w.Header().Set("X-Seen", strings.Join([]string{r.Proto, r.Method, r.Host, r.RequestURI, r.UserAgent(), r.Header.Get("X-Own"), string(body)}, " "))
				w.WriteHeader(http.StatusCreated)
				_, _ = io.WriteString(w, "made")
			})
			c := newClient(t, s.URL+"/base/", trust)
			var resp httpload.Response
			for i := range 3 {
				req := &httpload.Request{Method: "POST", Path: "/a?b=c", Absolute: i == 2, Headers: []httpload.Header{{Name: "X-Own", Value: "1"}, {Name: "Host", Value: "shop.test"}}, Body: []byte("text")}
				if err := c.Do(t.Context(), req, &resp); err != nil {
					t.Fatal(err)
				}
				seen, _ := resp.Header("x-seen")
				base := map[bool]string{true: "", false: "/base"}[req.Absolute] // a redirect leads below the host
				if want := "HTTP/2.0 POST shop.test " + base + "/a?b=c proofload 1 text"; string(seen) != want {
					t.Errorf("the server saw %q, want %q", seen, want)
				}
				if resp.Status != 201 || string(resp.Body) != "made" || resp.BodySize != 4 || resp.Truncated {
					t.Errorf("got %d %q (%d bytes)", resp.Status, resp.Body, resp.BodySize)
				}
				if resp.Reused != (i > 0) || (resp.Connect > 0) != (i == 0) || resp.Sent.IsZero() || resp.End.Before(resp.Sent) {
					t.Errorf("request %d: reused %v, connect %v, sent %v, end %v", i, resp.Reused, resp.Connect, resp.Sent, resp.End)
				}
				if resp.BytesOut < 4+2*9 || resp.BytesIn < 4+2*9 {
					t.Errorf("%d bytes out, %d in", resp.BytesOut, resp.BytesIn)
				}
			}
		})
	}
}

// TestAbsolutePaths: where a redirect leads is not below the target's path.
func TestAbsolutePaths(t *testing.T) {
	s, _ := serve(t, false, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.RequestURI) })
	c := newClient(t, s.URL+"/base")
	var resp httpload.Response
	for path, want := range map[string]string{"/a?b": "/a?b", "?c": "/?c", "": "/"} {
		if err := c.Do(t.Context(), &httpload.Request{Method: "GET", Path: path, Absolute: true}, &resp); err != nil || string(resp.Body) != want {
			t.Errorf("%q: the server saw %q, %v", path, resp.Body, err)
		}
	}
}

// TestBodies: bodies beyond every window arrive whole in both directions; what is not kept is counted.
func TestBodies(t *testing.T) {
	s, _ := serve(t, false, func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		n, _ := io.Copy(sum, r.Body)
		w.Header().Set("X-Sum", fmt.Sprintf("%d %x", n, sum.Sum(nil)))
		for range 48 {
			_, _ = w.Write(make([]byte, 1<<20))
		}
	})
	c := newClient(t, s.URL)
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<19) // 8 MiB
	var resp httpload.Response
	if err := c.Do(t.Context(), &httpload.Request{Method: "PUT", Path: "/", Body: body}, &resp); err != nil {
		t.Fatal(err)
	}
	if got, _ := resp.Header("X-Sum"); string(got) != fmt.Sprintf("%d %x", len(body), sha256.Sum256(body)) {
		t.Errorf("the server got %s", got)
	}
	if resp.BodySize != 48<<20 || len(resp.Body) != httpload.DefaultKeepBody || !resp.Truncated || resp.BytesIn < resp.BodySize || resp.BytesOut < int64(len(body)) {
		t.Errorf("%d bytes, %d kept, truncated %v, %d in, %d out", resp.BodySize, len(resp.Body), resp.Truncated, resp.BytesIn, resp.BytesOut)
	}
}

// TestManyAtOnce: requests share connections as far as the server allows, none gets another's answer, and the
// server counts what was sent.
func TestManyAtOnce(t *testing.T) {
	var seen, dials atomic.Int64
	s, trust := serve(t, true, func(w http.ResponseWriter, r *http.Request) {
		seen.Add(1)
		_, _ = io.WriteString(w, r.URL.Path)
	})
	c := newClient(t, s.URL, trust, counting(&dials))
	var wg sync.WaitGroup
	const users, each = 300, 20
	for u := range users {
		wg.Go(func() {
			var resp httpload.Response
			for i := range each {
				path := fmt.Sprintf("/%d/%d", u, i)
				if err := c.Do(t.Context(), get(path), &resp); err != nil || string(resp.Body) != path {
					t.Errorf("%s: %q, %v", path, resp.Body, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if seen.Load() != users*each {
		t.Errorf("the server saw %d requests, %d were sent", seen.Load(), users*each)
	}
	if n := dials.Load(); n < 2 || n > 3 {
		t.Errorf("%d connections for %d requests at once of which the server allows 250 each", n, users)
	}
}

func counting(dials *atomic.Int64) func(*http2load.Options) {
	return func(o *http2load.Options) {
		o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		}
	}
}

// TestConnections: sessions have connections of their own, and a fresh one is for one request.
func TestConnections(t *testing.T) {
	s, _ := serve(t, false, func(http.ResponseWriter, *http.Request) {})
	var dials atomic.Int64
	c := newClient(t, s.URL, counting(&dials))
	one, two := c.NewSession(), c.NewSession()
	var resp httpload.Response
	for _, session := range []httpload.Session{one, two, nil, one, two, nil} {
		if err := c.Do(t.Context(), &httpload.Request{Method: "GET", Session: session}, &resp); err != nil {
			t.Fatal(err)
		}
	}
	if dials.Load() != 3 {
		t.Errorf("%d connections of two sessions and the others", dials.Load())
	}
	_, _ = one.Close(), two.Close()
	wantKind(t, c.Do(t.Context(), &httpload.Request{Method: "GET", Session: one}, &resp), transport.KindCancelled)
	dials.Store(0)
	fresh := newClient(t, s.URL, counting(&dials), func(o *http2load.Options) { o.Fresh = true })
	for range 3 {
		if err := fresh.Do(t.Context(), get("/"), &resp); err != nil || resp.Reused || resp.Connect == 0 {
			t.Fatalf("reused %v, connect %v, %v", resp.Reused, resp.Connect, err)
		}
	}
	if dials.Load() != 3 {
		t.Errorf("%d connections for 3 requests", dials.Load())
	}
}

// TestConnectionsOfAnAddressThatIsGone: they carry what is under way to its end, and nothing new.
func TestConnectionsOfAnAddressThatIsGone(t *testing.T) {
	release := make(chan struct{})
	s, _ := serve(t, false, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-release
		}
	})
	var dials atomic.Int64
	var moved atomic.Bool
	c := newClient(t, s.URL, counting(&dials), func(o *http2load.Options) {
		first := true
		var mu sync.Mutex
		var old net.Conn
		dial := o.Dial
		o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := dial(ctx, network, addr)
			mu.Lock()
			defer mu.Unlock()
			if first {
				old, first = nc, false
			}
			return nc, err
		}
		o.Valid = func(nc net.Conn) bool {
			mu.Lock()
			defer mu.Unlock()
			return !moved.Load() || nc != old
		}
	})
	var wg sync.WaitGroup
	var resp httpload.Response
	if err := c.Do(t.Context(), get("/"), &resp); err != nil {
		t.Fatal(err)
	}
	wg.Go(func() {
		var resp httpload.Response
		if err := c.Do(t.Context(), get("/slow"), &resp); err != nil {
			t.Error(err)
		}
	})
	moved.Store(true)
	for range 3 {
		if err := c.Do(t.Context(), get("/"), &resp); err != nil {
			t.Error(err)
		}
	}
	close(release)
	wg.Wait()
	if n := dials.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

// TestTimeoutAndCancel: both end a request, wherever it is, and nothing else on its connection.
func TestTimeoutAndCancel(t *testing.T) {
	s := serveRaw(t, func(p *peer) {
		for {
			id := p.request()
			if id == 0 {
				return
			}
			if id%4 == 3 { // every second one
				p.ok(id, "late")
			}
		}
	})
	c := newClient(t, s.url())
	var resp httpload.Response
	for _, body := range []int{0, 1 << 20} { // the second cannot be sent as a whole
		req := &httpload.Request{Method: "POST", Body: make([]byte, body), Timeout: 50 * time.Millisecond}
		wantKind(t, c.Do(t.Context(), req, &resp), transport.KindTimeout)
		if body > 0 {
			break
		}
		if err := c.Do(t.Context(), get("/"), &resp); err != nil || string(resp.Body) != "late" || !resp.Reused {
			t.Errorf("%q, reused %v, %v", resp.Body, resp.Reused, err)
		}
	}
	if err := c.Do(t.Context(), get("/"), &resp); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(50*time.Millisecond, cancel)
	defer timer.Stop()
	wantKind(t, c.Do(ctx, get("/"), &resp), transport.KindCancelled)
	wantKind(t, c.Do(ctx, get("/"), &resp), transport.KindCancelled)
	if s.accepted() != 1 {
		t.Errorf("%d connections", s.accepted())
	}
	_ = c.Close()
	wantKind(t, c.Do(t.Context(), get("/"), &resp), transport.KindCancelled)
}

// TestAnswerBeforeTheBody: a server may answer before it has heard all, and the connection goes on.
func TestAnswerBeforeTheBody(t *testing.T) {
	s := serveRaw(t, func(p *peer) {
		for id := p.request(); id != 0; id = p.request() {
			p.ok(id, "enough")
		}
	})
	c := newClient(t, s.url())
	var resp httpload.Response
	for i := range 3 {
		err := c.Do(t.Context(), &httpload.Request{Method: "POST", Body: make([]byte, 1<<20)}, &resp)
		if err != nil || string(resp.Body) != "enough" || resp.Reused != (i > 0) {
			t.Fatalf("%q, reused %v, %v", resp.Body, resp.Reused, err)
		}
	}
}

// TestRequestsThatAreNone of HTTP/2 are the scenario's fault, and nothing is sent.
func TestRequestsThatAreNone(t *testing.T) {
	c := newClient(t, "http://127.0.0.1:1")
	var resp httpload.Response
	for _, h := range []httpload.Header{{Name: "Connection", Value: "close"}, {Name: "TE", Value: "gzip"}, {Name: "a b", Value: "c"}, {Name: "a", Value: "b\nc"}, {Name: "Content-Length", Value: "7"}} {
		wantKind(t, c.Do(t.Context(), &httpload.Request{Method: "GET", Headers: []httpload.Header{h}}, &resp), transport.KindRequest)
		if !resp.Sent.IsZero() {
			t.Error("it was sent")
		}
	}
}
