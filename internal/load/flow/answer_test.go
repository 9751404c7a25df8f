package flow

import (
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"proofload/internal/scenario"
)

// TestMeasuresOfAnySize: however large a number in an answer is, the request went well.
func TestMeasuresOfAnySize(t *testing.T) {
	s := newShop(t, answer(200, `{"at_ms": 1767225600000, "bytes": 17179869184}`))
	step := get("s", "/")
	step.Measure = []scenario.Measure{{Name: "at", Source: "json.at_ms"}, {Name: "size", Source: "json.bytes"}, {Name: "huge", Source: "-1e300"}}
	r, _, ok, err := newBench(s.URL, step).run(t, t.Context())
	if !ok || err != nil {
		t.Errorf("run: %v, %v", ok, err)
	}
	if diff := cmp.Diff([]string{"s.at=1.7672256e+12", "s.size=1.7179869184e+10", "s.huge=-1e+300"}, r.measures); diff != "" {
		t.Errorf("measures (-want +got):\n%s", diff)
	}
}

// TestStatusOfWholeAnswers: an answer that is cut short has no status, so that nobody finds errors of status 200.
func TestStatusOfWholeAnswers(t *testing.T) {
	s := newShop(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "abc")
	})
	r, _, ok, err := newBench(s.URL, get("s", "/")).run(t, t.Context())
	if ok || err == nil {
		t.Errorf("run: %v, %v", ok, err)
	}
	if diff := cmp.Diff([]string{"s 0 length"}, r.outcomes()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}
