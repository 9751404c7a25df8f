package result

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"proofload/internal/run"
	"proofload/internal/wire"
)

func haltAt(request string, at time.Time, lifts int64) wire.Halt {
	return wire.Halt{Kind: run.StopHalt, Reason: "because of " + request, By: "me", Order: wire.Order{Request: request, AskedOf: "c1", Asked: at, Lifts: lifts}}
}

// TestHaltRecord proves that the first halt counts until it is lifted, that no copy of it or of a later one that is
// one with it comes back afterwards, whatever the clocks, and that the same request does not lift a second halt.
func TestHaltRecord(t *testing.T) {
	at := time.Unix(1_000_000, 0).UTC()
	first, ahead := haltAt("q1", at, 0), haltAt("q2", at.Add(time.Hour), 0)
	r, changed := HaltRecord{}.With(first)
	if in, ok := r.Halted(); !changed || !ok || in != first.Halted(true) {
		t.Fatalf("halted %+v, %v", in, ok)
	}
	if _, changed := r.With(first); changed {
		t.Error("the same halt again changes the record")
	}
	r, changed = r.With(ahead)
	if in, _ := r.Halted(); !changed || in != first.Halted(true) {
		t.Errorf("a second halt made it %+v", in)
	}
	lifted, changed := r.Without("u1", at.Add(time.Minute))
	if _, ok := lifted.Halted(); !changed || ok {
		t.Errorf("not lifted: %+v", lifted)
	}
	if was, ok := lifted.Lifted(); !ok || was != first.Halted(true) {
		t.Errorf("lifted %+v", was)
	}
	for _, copied := range []wire.Halt{first, ahead} {
		if back, changed := lifted.With(copied); changed || back.Halt != nil {
			t.Errorf("halt %s has come back", copied.Request)
		}
	}
	repeated := haltAt("q1", at.Add(time.Hour), 1) // whose answer was lost, stamped anew by who is asked again
	if back, changed := lifted.With(repeated); changed || back.Halt != nil {
		t.Error("a request that was lifted has come back when it was repeated")
	}
	right := haltAt("q9", at.Add(2*time.Minute), 0) // by a right clock, in ignorance of the lifting
	if in, changed := lifted.With(right); !changed || in.Halt == nil {
		t.Error("the clock that was ahead has swallowed a later halt")
	}
	again, changed := lifted.With(haltAt("q3", at.Add(-time.Hour), 1)) // by a clock that is behind, in the knowledge of the lifting
	if in, _ := again.Halted(); !changed || in.Request != "q3" {
		t.Fatalf("a new halt made it %+v", in)
	}
	if same, changed := again.Without("u1", at.Add(2*time.Hour)); changed || same.Halt == nil {
		t.Error("the request that lifted the first halt has lifted the second")
	}
	twice, _ := again.Without("u2", at) // the clock of this leader is behind that of the last
	if _, changed := twice.With(ahead); changed {
		t.Error("a second lifting has brought back what the first had lifted")
	}
	none, changed := HaltRecord{}.Without("u3", at)
	if was, ok := none.Lifted(); !changed || ok {
		t.Errorf("lifted %+v", was)
	}
	if _, changed := none.With(first); changed {
		t.Error("what nobody had told of when it was lifted has come back")
	}
}

// TestHaltRecordOfAnotherVersion proves that a record which cannot be understood is a halt that says so, and that lifting
// it writes a record that can.
func TestHaltRecordOfAnotherVersion(t *testing.T) {
	for name, value := range map[string]string{"newer": `{"version":99,"lifts":0,"lifted":["q0"]}`, "damaged": `{"version`} {
		cluster := newCluster()
		term := cluster.elect()
		if _, err := term.Commit(t.Context(), []Write{{Key: haltKey, Value: []byte(value)}}); err != nil {
			t.Fatal(err)
		}
		r, err := ReadHalt(t.Context(), cluster)
		if in, ok := r.Halted(); err != nil || !ok || !strings.Contains(in.Reason, haltKey) {
			t.Fatalf("%s: halted %+v, %v", name, in, err)
		}
		if _, ok := r.InForce(); ok {
			t.Errorf("%s: workers are told of a halt that nobody has asked for", name)
		}
		if merged, changed := r.With(haltAt("q1", time.Now(), 0)); changed || len(merged.Merged) > 0 {
			t.Errorf("%s: another halt would write the record anew", name)
		}
		lifted, _ := r.Without("u1", time.Now())
		if name == "newer" && !lifted.Lift().Covers(wire.Order{Request: "q0"}) {
			t.Errorf("%s: what had been lifted is forgotten", name)
		}
		if _, err := WriteHalt(t.Context(), term, lifted); err != nil {
			t.Fatal(err)
		}
		r, err = ReadHalt(t.Context(), cluster)
		if in, ok := r.Halted(); err != nil || ok || r.Lifts != 1 {
			t.Errorf("%s: still halted %+v, %v", name, in, err)
		}
	}
}

// TestLiftedAreForgotten proves that the record does not grow with every halt.
func TestLiftedAreForgotten(t *testing.T) {
	var r HaltRecord
	at := time.Unix(1_000_000, 0).UTC()
	for i := range 3 * wire.MaxLifted {
		r, _ = r.With(haltAt(strconv.Itoa(i), at, r.Lifts))
		r, _ = r.With(haltAt(strconv.Itoa(i)+"b", at, r.Lifts))
		r, _ = r.Without("u"+strconv.Itoa(i), at)
	}
	if n := len(r.LiftedIDs); n != wire.MaxLifted || r.LiftedIDs[n-1] != "299" {
		t.Errorf("%d are remembered, the newest %s", n, r.LiftedIDs[n-1])
	}
}
