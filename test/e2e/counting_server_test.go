package e2e

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// counter is an HTTP server that knows nothing of the product: it counts, by method and path, what
// reached it and what it answered with success. Some answers are failures on purpose.
type counter struct {
	*httptest.Server
	mu       sync.Mutex
	received map[string]int64
	good     map[string]int64
	total    int64
	arrived  chan struct{} // capacity 1: something has been received
	held     string        // a path whose answers wait for release
	release  <-chan struct{}
}

// Every so many requests of a path are answered with an error or with a connection that breaks
// before the answer.
const (
	errorEvery = 17
	breakEvery = 29
)

// startCounter serves until the test ends. With faulty set, some requests fail.
func startCounter(t *testing.T, faulty bool) *counter {
	t.Helper()
	c := &counter{received: map[string]int64{}, good: map[string]int64{}, arrived: make(chan struct{}, 1)}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := c.count(r.Method + " " + r.URL.Path)
		c.wait(r.URL.Path)
		switch {
		case faulty && n%breakEvery == 0:
			panic(http.ErrAbortHandler)
		case faulty && n%errorEvery == 0:
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		c.mu.Lock()
		c.good[r.Method+" "+r.URL.Path]++
		c.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"ok":true}`)) // a client that has gone away was counted all the same
	}))
	t.Cleanup(c.Close)
	return c
}

// count notes a request and returns how many of its kind there were.
func (c *counter) count(key string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received[key]++
	c.total++
	select {
	case c.arrived <- struct{}{}:
	default:
	}
	return c.received[key]
}

// await returns when n requests have been received.
func (c *counter) await(t *testing.T, n int64) {
	t.Helper()
	for {
		c.mu.Lock()
		total := c.total
		c.mu.Unlock()
		if total >= n {
			return
		}
		select {
		case <-c.arrived:
		case <-t.Context().Done():
			t.Fatalf("%d requests received, waiting for %d", total, n)
		}
	}
}

// sums returns what was received and what was answered with success, over the given keys.
func (c *counter) sums(keys []string) (received, good int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range keys {
		received += c.received[k]
		good += c.good[k]
	}
	return received, good
}

// now returns how many requests have been received.
func (c *counter) now() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

// hold makes requests of a path, once counted, wait for release to be closed.
func (c *counter) hold(path string, release <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held, c.release = path, release
}

// wait waits as long as requests of the path are held.
func (c *counter) wait(path string) {
	c.mu.Lock()
	held, release := c.held, c.release
	c.mu.Unlock()
	if path == held {
		<-release
	}
}
