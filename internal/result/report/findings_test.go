package report

import (
	"slices"
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
		{"the target answered", map[string]int64{"check": 9, "connect": 1}, "target's log"},
		{"nobody listens", map[string]int64{"check": 1, "connect": 9}, "something listens"},
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
			found := failures(&Document{Series: []Series{total, row}})
			if len(found) != 1 || !strings.Contains(found[0].Recommendation, tt.advice) {
				t.Errorf("findings %+v, want one with advice %q", found, tt.advice)
			}
		})
	}
}

// What failed because of the workers or the scenario is not held against the target.
func TestFindingsNameTheCause(t *testing.T) {
	kinds := map[string]int64{"check": 2, "no_ports": 4, "cancelled": 1, "template": 3}
	found := failures(&Document{Series: []Series{
		{Requests: 20, ErrorsByKind: kinds},
		{Labels: map[string]string{"step": "s"}, Requests: 20, ErrorsByKind: kinds},
	}})
	want := map[string][]string{"target": {"error.check"}, "workers": {"error.no_ports", "error.cancelled"}, "scenario": {"error.template"}}
	if len(found) != len(want) {
		t.Fatalf("findings %+v", found)
	}
	for _, f := range found {
		var codes []string
		for _, e := range f.Evidence {
			codes = append(codes, e.Code)
		}
		if !slices.Equal(codes, want[f.Component]) || f.Recommendation == "" {
			t.Errorf("%s: %v, want %v", f.Component, codes, want[f.Component])
		}
	}
}
