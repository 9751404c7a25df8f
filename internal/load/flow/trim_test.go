package flow

import (
	"net/http"
	"strings"
	"testing"

	"proofload/internal/scenario"
)

// TestTrim: what a large request and a large response took is given back, and the next iteration finds
// everything that it needs.
func TestTrim(t *testing.T) {
	large := strings.Repeat("x", 1<<20)
	s := newShop(t, answer(http.StatusOK, large))
	step := scenario.Step{
		Name: "s", Target: scenario.DefaultTarget, ImplyStatus: true, Expect: []string{"len(body) == 1048576"},
		HTTP: &scenario.HTTP{Method: http.MethodPost, Path: "/", Body: &large},
	}
	b := newBench(s.URL, step)
	p := b.compile(t)
	it := &Iteration{ID: b.id, Clock: wallClock{}, Sink: discard{}}
	for range 2 {
		if err := it.Prepare(p, p.Flow("f")); err != nil {
			t.Fatal(err)
		}
		if ok, err := it.Run(t.Context(), p.Flow("f")); !ok {
			t.Fatal(err)
		}
		it.Trim()
		if n := cap(it.resp.Body) + cap(it.body) + cap(it.scratch) + len(it.req.Body); n > 3*keptSize || it.exchange.response.Body != nil {
			t.Errorf("%d bytes are kept", n)
		}
	}
}
