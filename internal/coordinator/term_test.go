package coordinator

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/hashicorp/go-hclog"

	"proofload/internal/lease"
	"proofload/internal/supervisor"
)

// TestHowATermEnds proves that what another leader may do better ends no coordinator: it stands for leadership again.
func TestHowATermEnds(t *testing.T) {
	unreadable, broken := fmt.Errorf("%w: no quorum", supervisor.ErrRunsUnknown), errors.New("broken")
	for name, row := range map[string]struct {
		cause, err, want error
	}{
		"it hears no worker":            {lease.ErrResign, context.Canceled, lease.ErrResign},
		"it hears none, and more fails": {lease.ErrResign, broken, lease.ErrResign},
		"etcd did not tell the runs":    {nil, unreadable, lease.ErrResign},
		"the lease is over":             {lease.ErrLeadershipLost, context.Canceled, nil},
		"the process is told to end":    {context.Canceled, context.Canceled, nil},
		"nothing":                       {nil, nil, nil},
		"what nobody expects":           {nil, broken, broken},
	} {
		c := &Coordinator{log: hclog.NewNullLogger()}
		if got := c.ended(row.cause, row.err); !errors.Is(got, row.want) || (got == nil) != (row.want == nil) {
			t.Errorf("%s: the term ends with %v, want %v", name, got, row.want)
		}
	}
}
