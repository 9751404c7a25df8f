package httpload_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"

	"proofload/internal/load/httpload"
)

// TestConnectionsOfAnAddressThatIsGone: an idle connection to it is not used again, and one that is valid is.
func TestConnectionsOfAnAddressThatIsGone(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	var dials atomic.Int64
	var gone atomic.Pointer[net.Conn]
	var last net.Conn
	c, err := httpload.NewClient(httpload.Options{
		Target: u,
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			var d net.Dialer
			var err error
			last, err = d.DialContext(ctx, network, addr)
			return last, err
		},
		Valid: func(nc net.Conn) bool { old := gone.Load(); return old == nil || *old != nc },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	var resp httpload.Response
	for i, want := range []struct {
		dials  int64
		reused bool
	}{{1, false}, {1, true}, {2, false}, {2, true}} {
		if i == 2 {
			old := last
			gone.Store(&old)
		}
		if err := c.Do(t.Context(), &httpload.Request{Method: "GET", Path: "/"}, &resp); err != nil {
			t.Fatal(err)
		}
		if dials.Load() != want.dials || resp.Reused != want.reused {
			t.Errorf("request %d: %d connections, reused %v; want %d, %v", i, dials.Load(), resp.Reused, want.dials, want.reused)
		}
	}
}
