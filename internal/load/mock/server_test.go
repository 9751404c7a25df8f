package mock

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"proofload/internal/load/schedule"
	"proofload/internal/scenario"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T, m scenario.Mock) *Server {
	t.Helper()
	s, err := New(t.Context(), m, Options{Name: "shop", Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func request(t *testing.T, method, url string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body), resp.Header
}

// TestRoutes proves that the first matching route answers, by method, path and prefix.
func TestRoutes(t *testing.T) {
	s := serve(t, scenario.Mock{Routes: []scenario.Route{
		{Method: "POST", Path: "/cart", Status: 201, HasJSON: true, JSON: map[string]any{"total": 12.5}, Headers: []scenario.Field{{Name: "X-Shop", Value: "1"}}},
		{Path: "/items/*", Status: 200, Body: "prefix"},
		{Method: "GET", Path: "/items", Status: 200, Body: "exact"},
		{Method: "HEAD", Status: 204},
	}})
	for _, c := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"POST", "/cart", 201, `{"total":12.5}`},
		{"GET", "/cart", 404, "no route of the mock matches GET /cart\n"},
		{"GET", "/items/7?page=1", 200, "prefix"},
		{"DELETE", "/items/", 200, "prefix"},
		{"GET", "/items", 200, "exact"},
		{"HEAD", "/anything", 204, ""},
	} {
		status, body, header := request(t, c.method, s.URL()+c.path)
		if status != c.status || body != c.body {
			t.Errorf("%s %s = %d %q, want %d %q", c.method, c.path, status, body, c.status, c.body)
		}
		if c.status == 201 && (header.Get("X-Shop") != "1" || header.Get("Content-Type") != "application/json") {
			t.Errorf("headers %v", header)
		}
	}
	if s.Count() != 6 {
		t.Errorf("counted %d requests, want 6", s.Count())
	}
}

// TestFailures proves that the share of failures is the one asked for, and the same for one seed.
func TestFailures(t *testing.T) {
	mock := scenario.Mock{Routes: []scenario.Route{{Status: 200, Fail: &scenario.MockFailure{Ratio: 0.25, Status: 503}}}}
	count := func() int {
		s := serve(t, mock)
		failed := 0
		for range 400 {
			if status, _, _ := request(t, "GET", s.URL()+"/"); status == 503 {
				failed++
			}
		}
		return failed
	}
	first, second := count(), count()
	if first != second {
		t.Errorf("same seed, %d and %d failures", first, second)
	}
	if first < 70 || first > 130 {
		t.Errorf("%d of 400 failed, want about 100", first)
	}
}

// TestAnswerAsWritten proves that repeated headers stay repeated, that an own content type counts,
// and that answers without a body have none.
func TestAnswerAsWritten(t *testing.T) {
	s := serve(t, scenario.Mock{Routes: []scenario.Route{
		{Path: "/two", Status: 200, HasJSON: true, JSON: []any{1.0}, Headers: []scenario.Field{
			{Name: "set-cookie", Value: "a=1"}, {Name: "Set-Cookie", Value: "b=2"}, {Name: "content-type", Value: "application/hal+json"},
		}},
		{Path: "/none", Status: 204, Body: "not sent"},
		{Path: "/null", Status: 200, HasJSON: true},
	}})
	_, body, header := request(t, "GET", s.URL()+"/two")
	if got := header.Values("Set-Cookie"); len(got) != 2 || header.Get("Content-Type") != "application/hal+json" || body != "[1]" {
		t.Errorf("cookies %q, type %q, body %q", got, header.Get("Content-Type"), body)
	}
	if status, body, header := request(t, "GET", s.URL()+"/none"); status != 204 || body != "" || header.Get("Content-Length") != "" {
		t.Errorf("%d %q, length %q", status, body, header.Get("Content-Length"))
	}
	if _, body, _ := request(t, "GET", s.URL()+"/null"); body != "null" {
		t.Errorf("null is %q", body)
	}
	if _, body, header := request(t, "HEAD", s.URL()+"/two"); body != "" || header.Get("Content-Length") != "3" {
		t.Errorf("head: %q, length %q", body, header.Get("Content-Length"))
	}
}

func TestRefused(t *testing.T) {
	for name, r := range map[string]scenario.Route{
		"no status":             {},
		"informational":         {Status: 103},
		"four digits":           {Status: 1000},
		"failure has no status": {Status: 200, Fail: &scenario.MockFailure{Ratio: 1}},
		"not json":              {Status: 200, HasJSON: true, JSON: make(chan int)},
	} {
		t.Run(name, func(t *testing.T) {
			if s, err := New(t.Context(), scenario.Mock{Routes: []scenario.Route{r}}, Options{Name: "shop"}); err == nil {
				t.Error("no error")
				_ = s.Close()
			}
		})
	}
}

// TestUpload proves that a request is read whole, so that its connection can be used again.
func TestUpload(t *testing.T) {
	s := serve(t, scenario.Mock{Routes: []scenario.Route{{Status: 200}}})
	for i := range 3 {
		var reused bool
		trace := &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused }}
		ctx := httptrace.WithClientTrace(t.Context(), trace)
		req, err := http.NewRequestWithContext(ctx, "POST", s.URL(), bytes.NewReader(make([]byte, 4<<20)))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if i > 0 && !reused {
			t.Errorf("upload %d needed a new connection", i)
		}
	}
}

// TestLatencyIsDrawn proves that an answer takes what its distribution says, the same for one seed.
func TestLatencyIsDrawn(t *testing.T) {
	d := scenario.Distribution{Kind: "uniform", Min: 20 * time.Millisecond, Max: 40 * time.Millisecond}
	s := serve(t, scenario.Mock{Routes: []scenario.Route{{Status: 200, Latency: &d}}})
	for n := range uint64(5) {
		start := time.Now()
		request(t, "GET", s.URL())
		want := schedule.NewDraw(7, "mock/shop").Child(n + 1).Duration(d)
		if took := time.Since(start); took < want {
			t.Errorf("answer %d after %v, want at least %v", n, took, want)
		}
	}
}

// TestParallel proves that so many requests are answered at once and no more, and that those who wait are let go when the
// mock ends.
func TestParallel(t *testing.T) {
	s, err := New(t.Context(), scenario.Mock{Parallel: 2, Routes: []scenario.Route{
		{Path: "/slow", Status: 200, Latency: &scenario.Distribution{Kind: "constant", Value: time.Hour}}, {Status: 200},
	}}, Options{Name: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	if status, _, _ := request(t, "GET", s.URL()); status != 200 {
		t.Errorf("status %d", status)
	}
	var wg sync.WaitGroup
	for i, path := range []string{"/slow", "/slow", "/fast"} {
		before := s.Count()
		wg.Go(func() {
			if resp, err := http.Get(s.URL() + path); err == nil {
				_ = resp.Body.Close()
				t.Errorf("%s was answered while two others were: %d", path, resp.StatusCode)
			}
		})
		for s.Count() == before || len(s.slots) < min(i+1, 2) {
			time.Sleep(time.Millisecond)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

// TestLatencyEndsWithClose proves that Close does not wait for slow answers, and that those are
// errors for who waits for them, never empty successes.
func TestLatencyEndsWithClose(t *testing.T) {
	s, err := New(t.Context(), scenario.Mock{Routes: []scenario.Route{{Status: 200, Latency: &scenario.Distribution{Kind: "constant", Value: time.Hour}}}}, Options{Name: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if resp, err := http.Get(s.URL()); err == nil {
				_ = resp.Body.Close()
				t.Errorf("an answer that takes an hour was there: %d", resp.StatusCode)
			}
		})
	}
	for s.Count() < 20 {
		time.Sleep(time.Millisecond)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

// TestCloseWithSilentClient proves that a connection on which nothing is sent does not hold up Close.
func TestCloseWithSilentClient(t *testing.T) {
	s, err := New(t.Context(), scenario.Mock{}, Options{Name: "shop", Logger: hclog.NewNullLogger()})
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	_ = c.Close()
}
