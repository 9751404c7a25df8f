package coordinator

import (
	"errors"
	"testing"

	"proofload/internal/api"
	"proofload/internal/fleet"
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
