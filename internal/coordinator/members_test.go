package coordinator

import (
	"slices"
	"testing"

	"proofload/internal/wire"
)

// TestNamesakes proves that coordinators which cannot be told apart are problems, and that the two records of one that
// was just restarted are none.
func TestNamesakes(t *testing.T) {
	one := wire.Leader{Name: "c1", Address: "a:1", Epoch: 3}
	for name, row := range map[string]struct {
		other wire.Leader
		want  []string
	}{
		"another":      {wire.Leader{Name: "c2", Address: "b:1"}, nil},
		"restarted":    {wire.Leader{Name: "c1", Address: "a:1", Epoch: 9}, nil},
		"same name":    {wire.Leader{Name: "c1", Address: "b:1"}, []string{"two coordinators have the name c1, at a:1 and at b:1: give each its own --name"}},
		"same address": {wire.Leader{Name: "c2", Address: "a:1"}, []string{"coordinators c1 and c2 give the same address a:1: give each its own --advertise"}},
	} {
		if got := namesakes([]wire.Leader{one, row.other}); !slices.Equal(got, row.want) {
			t.Errorf("%s: %q, want %q", name, got, row.want)
		}
	}
}
