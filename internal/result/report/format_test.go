package report

import (
	"math"
	"testing"
)

func TestFormat(t *testing.T) {
	tests := []struct{ name, got, want string }{
		{"instant", instant(98.14), "1:38.1"},
		{"instant that rounds to a minute", instant(59.96), "1:00.0"},
		{"axis", axisTime(3750), "1:02:30"},
		{"one", plural(1, "gap"), "1 gap"},
		{"many", plural(2000, "gap"), "2,000 gaps"},
		{"absent", optional(nil, "s"), none},
		{"absent statistic", Dist{}.of(0), none},
		{"labels", pairs(map[string]string{"b": "2", "a": "1"}), "a=1 b=2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.got != tt.want {
				t.Errorf("got %q, want %q", tt.got, tt.want)
			}
		})
	}
}

func TestScale(t *testing.T) {
	v := func(values ...float64) ([]bucket, []curve) {
		list := make([]bucket, len(values))
		for i := range values {
			list[i].p99 = &values[i]
		}
		return list, []curve{{of: func(b *bucket) *float64 { return b.p99 }}}
	}
	tests := []struct {
		name   string
		unit   string
		values []float64
		log    bool
		labels []string
	}{
		{"linear", "s", []float64{0.012, 0.037}, false, []string{"10 ms", "20 ms", "30 ms", "40 ms"}},
		{"wide", "s", []float64{0.02, 2}, true, []string{"20 ms", "100 ms", "1 s"}},
		{"rates stay linear", "1/s", []float64{1, 1900}, false, []string{"500/s", "1,000/s", "1,500/s", "2,000/s"}},
		{"nothing", "1/s", []float64{0}, false, []string{"0.5/s", "1/s"}},
		{"denormal", "s", []float64{5e-324, 1e-323}, false, nil},
		{"beyond reason", "s", []float64{1e-300, 1e300}, true, nil},
		{"not a number", "s", []float64{math.NaN(), math.Inf(1)}, false, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			columns, curves := v(tt.values...)
			s := scaleFor(columns, curves, tt.unit)
			ticks := s.ticks()
			if len(ticks) == 0 || len(ticks) > 40 {
				t.Errorf("%d ticks", len(ticks))
			}
			if tt.labels == nil {
				return
			}
			if s.log != tt.log {
				t.Errorf("log = %v, want %v", s.log, tt.log)
			}
			var labels []string
			for _, tick := range ticks {
				labels = append(labels, tick.Label)
			}
			for i := range max(len(labels), len(tt.labels)) {
				if i >= len(labels) || i >= len(tt.labels) || labels[i] != tt.labels[i] {
					t.Fatalf("labels = %q, want %q", labels, tt.labels)
				}
			}
			for _, value := range tt.values {
				if y := s.y(value); y < 0 || y > plotHeight {
					t.Errorf("y(%v) = %v is outside of the plot", value, y)
				}
			}
		})
	}
}
