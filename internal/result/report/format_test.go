package report

import (
	"math"
	"testing"
)

func TestFormat(t *testing.T) {
	tests := []struct{ name, got, want string }{
		{"nothing", duration(0), "0 s"},
		{"nanoseconds", duration(12e-9), "12 ns"},
		{"microseconds", duration(850e-6), "850 µs"},
		{"milliseconds", duration(0.0123), "12.3 ms"},
		{"below a second", duration(0.9994), "999 ms"},
		{"rounds to a second", duration(0.9996), "1 s"},
		{"seconds", duration(1.2), "1.2 s"},
		{"seconds in a column", measured(1.2), "1.20 s"},
		{"just below a minute", duration(59.94), "59.9 s"},
		{"a minute", duration(59.96), "1m 00s"},
		{"minutes", duration(125), "2m 05s"},
		{"hours", duration(3725), "1h 02m 05s"},
		{"negative", duration(-0.0123), "-12.3 ms"},
		{"clock below a minute", clock(30), "30s"},
		{"instant", instant(98.14), "1:38.1"},
		{"instant that rounds to a minute", instant(59.96), "1:00.0"},
		{"axis", axisTime(3750), "1:02:30"},
		{"integer", integer(1234567), "1,234,567"},
		{"three digits", integer(999), "999"},
		{"negative integer", integer(-1234), "-1,234"},
		{"negative three digits", integer(-123), "-123"},
		{"smallest", integer(math.MinInt64), "-9,223,372,036,854,775,808"},
		{"one", plural(1, "gap"), "1 gap"},
		{"many", plural(2000, "gap"), "2,000 gaps"},
		{"no share", ratio(0), "0 %"},
		{"small is not none", ratio(0.000001), "<0.01 %"},
		{"large is not all", ratio(0.999999), ">99.99 %"},
		{"all", ratio(1), "100 %"},
		{"share", ratio(0.0123), "1.23 %"},
		{"rate", value(400, "1/s"), "400/s"},
		{"bytes", value(1536, "By"), "1.5 KiB"},
		{"bytes per second", value(1536, "By/s"), "1.5 KiB/s"},
		{"many bytes", value(5e15, "By"), "4,547 TiB"},
		{"currency", value(12.5, "EUR"), "12.5 EUR"},
		{"annotation", value(3, "{message}"), "3 message"},
		{"bare", value(0.00012345, ""), "0.000123"},
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
