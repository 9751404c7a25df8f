package supervisor

import (
	"maps"
	"testing"
)

// TestDuesOnly: the remainder of a run that came to its end is spread over the seconds in which something may
// be unknown, and nothing of it gets lost.
func TestDuesOnly(t *testing.T) {
	for _, tt := range []struct {
		name string
		due  dues
		n    int64
		want dues
	}{
		{"as many as were due", dues{3: 5, 4: 10}, 15, dues{3: 5, 4: 10}},
		{"fewer", dues{3: 5, 4: 10}, 7, dues{3: 5, 4: 2}},
		{"more", dues{3: 5, 4: 10}, 17, dues{3: 5, 4: 12}},
		{"none", dues{3: 5}, 0, dues{}},
		{"no second is known", dues{}, 2, dues{9: 2}},
	} {
		if got := tt.due.only(tt.n, 9); !maps.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
