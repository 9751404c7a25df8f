package metric

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestSlowestOfEachStep: of a second, however many recorders and workers saw it, the slowest request of each
// step stands, and survives being encoded.
func TestSlowestOfEachStep(t *testing.T) {
	pay, add := StepKey{"p", "f", "pay"}, StepKey{"p", "f", "add"}
	at := func(ms int, trace string) Exemplar {
		took := time.Duration(ms) * time.Millisecond
		return Exemplar{At: time.Second, Response: took, Service: took, Status: 200, Trace: trace}
	}
	g := NewSegment("r")
	for i, worker := range []string{"w1", "w2"} {
		a := NewAccumulator(2, 0)
		for j, x := range []Exemplar{at(5, "a"), at(9-i, "b"), at(7, "c")} {
			rec := a.Recorder(j)
			rec.Lock()
			rec.Exemplify(0, pay, x)
			rec.Exemplify(int64(j), add, x)
			rec.Unlock()
		}
		for second := range int64(3) {
			b := Batch{Run: "r", Source: Source{worker, 1}, Seq: uint64(second) + 1, Second: a.Seal(second)}
			back, err := DecodeBatch(EncodeBatch(b))
			if err != nil {
				t.Fatal(err)
			}
			g.Add(back, nil)
		}
	}
	back, err := DecodeSegment(EncodeSegment(g))
	if err != nil {
		t.Fatal(err)
	}
	want := []map[StepKey]Exemplar{{pay: at(9, "b"), add: at(5, "a")}, {add: at(9, "b")}, {add: at(7, "c")}}
	for i, w := range want {
		if diff := cmp.Diff(w, back.Seconds[int64(i)].Slowest); diff != "" {
			t.Errorf("second %d (-want +got):\n%s", i, diff)
		}
	}
	total := NewAggregate("r")
	total.AddSegment(back)
	again, err := DecodeAggregate(EncodeAggregate(total))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[StepKey]Exemplar{pay: at(9, "b"), add: at(9, "b")}, again.Total.Slowest); diff != "" {
		t.Errorf("total (-want +got):\n%s", diff)
	}
}

// TestWithoutExemplarsNothingChanges: samples without exemplars are written as they were before there were any,
// so that older results are read; and the newer form is not taken without them.
func TestWithoutExemplarsNothingChanges(t *testing.T) {
	b := Batch{Run: "r", Source: Source{"w", 1}, Seq: 1, Second: NewSecond(0)}
	data := EncodeBatch(b)
	if !bytes.HasPrefix(data, []byte("PLB1")) {
		t.Errorf("a batch begins with %q", data[:4])
	}
	e := newEncoder()
	e.rich = true
	e.text("r")
	e.text("w")
	for range 2 {
		e.int(1)
	}
	if _, err := DecodeBatch(e.finish(batchMagic)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a batch that announces exemplars and has none: %v", err)
	}
}
