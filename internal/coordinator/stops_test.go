package coordinator

import (
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"proofload/internal/api"
	"proofload/internal/fleet"
	"proofload/internal/wire"
)

// TestLastIsTheLeadersToTell: a coordinator that does not lead sees the runs of the workers that it relays. The last
// run may be elsewhere, so it asks for an id rather than stop another one.
func TestLastIsTheLeadersToTell(t *testing.T) {
	c := &Coordinator{halts: fleet.NewHalts(nil)}
	for _, id := range []string{"last", "last-pass"} {
		if got, err := c.meant(id); !errors.Is(err, api.ErrNotFound) {
			t.Errorf("%s is %q, %v", id, got, err)
		}
	}
	if got, err := c.meant("r1"); got != "r1" || err != nil {
		t.Errorf("r1 is %q, %v", got, err)
	}
}

// TestUnansweredStopIsKept proves that a stop and a halt which the leader takes long to answer are kept here until they
// are recorded, with who was asked, and that nothing is made of a run that only the leader can name.
func TestUnansweredStopIsKept(t *testing.T) {
	c := &Coordinator{halts: fleet.NewHalts(nil), opts: Options{Name: "c2", Wall: time.Now}, log: hclog.NewNullLogger()}
	ctx := soon(t, 10*time.Millisecond)
	c.unanswered(ctx, wire.Halt{Order: wire.Order{Request: "q1"}})
	c.unanswered(ctx, wire.Halt{Run: "r1", Order: wire.Order{Request: "q2"}})
	c.unanswered(ctx, wire.Halt{Run: "last", Order: wire.Order{Request: "q3"}})
	kept := c.halts.Kept()
	if len(kept) != 2 || !kept[0].Everything() || kept[1].Run != "r1" || kept[0].AskedOf != "c2" || kept[1].Asked.IsZero() {
		t.Errorf("kept %+v", kept)
	}
}
