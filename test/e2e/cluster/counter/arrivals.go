// Package counter is what a target of the tests sees: arrival n asks for the path n, so that each one that is
// missing or came twice is known, and when each came. It knows nothing of the product.
package counter

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Seen is what came so far.
type Seen struct {
	Came    map[int][]time.Time `json:"came"`
	Strange int                 `json:"strange"` // requests for other paths
}

// Arrivals notes what comes. Use New.
type Arrivals struct {
	first chan struct{}

	mu   sync.Mutex
	seen Seen
}

// New returns arrivals of which none has come.
func New() *Arrivals {
	return &Arrivals{first: make(chan struct{}), seen: Seen{Came: map[int][]time.Time{}}}
}

// First is closed by the first arrival.
func (a *Arrivals) First() <-chan struct{} { return a.first }

// ServeHTTP notes an arrival.
func (a *Arrivals) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.Note(r.URL.Path, time.Now())
	w.WriteHeader(http.StatusNoContent)
}

// Note notes a request for a path.
func (a *Arrivals) Note(path string, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, err := strconv.Atoi(strings.TrimPrefix(path, "/"))
	if err != nil {
		a.seen.Strange++
		return
	}
	if len(a.seen.Came) == 0 {
		close(a.first)
	}
	a.seen.Came[n] = append(a.seen.Came[n], at)
}

// Look calls fn with what came so far; fn must not keep it.
func (a *Arrivals) Look(fn func(Seen)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	fn(a.seen)
}

// Runs are arrivals of several runs, each below a path of its own: GET /NAME/n is arrival n of a run,
// GET /-/NAME tells what came of it. Everything else is answered with 204 and not counted.
type Runs struct {
	mu   sync.Mutex
	runs map[string]*Arrivals
}

// ServeHTTP implements http.Handler.
func (r *Runs) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	name, path, ok := strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), "/")
	switch {
	case !ok:
		w.WriteHeader(http.StatusNoContent)
	case name == "-":
		w.Header().Set("Content-Type", "application/json")
		r.of(path).Look(func(s Seen) { _ = json.NewEncoder(w).Encode(s) }) // a client that has gone needs no answer
	default:
		r.of(name).Note("/"+path, time.Now())
		w.WriteHeader(http.StatusNoContent)
	}
}

func (r *Runs) of(name string) *Arrivals {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.runs == nil {
		r.runs = map[string]*Arrivals{}
	}
	if r.runs[name] == nil {
		r.runs[name] = New()
	}
	return r.runs[name]
}
