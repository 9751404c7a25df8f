package report

import (
	"strings"
	"testing"
)

// The advice about errors sends the reader to the target's log only if the target can know of them.
func TestAdviceFitsTheErrors(t *testing.T) {
	tests := []struct {
		name   string
		kinds  map[string]int64
		advice string
	}{
		{"the target answered", map[string]int64{"status": 9, "connect": 1}, "target's log"},
		{"nobody listens", map[string]int64{"status": 1, "connect": 9}, "something listens"},
		{"the name is unknown", map[string]int64{"dns": 3}, "something listens"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			row := Series{Labels: map[string]string{"phase": "p", "flow": "f", "step": "s"}, Requests: 10, ErrorsByKind: tt.kinds}
			for _, n := range tt.kinds {
				row.Errors += n
			}
			total := row
			total.Labels = map[string]string{}
			f, found := failures(&Document{Series: []Series{total, row}})
			if !found || !strings.Contains(f.Recommendation, tt.advice) {
				t.Errorf("advice %q (found %t), want one with %q", f.Recommendation, found, tt.advice)
			}
		})
	}
}
