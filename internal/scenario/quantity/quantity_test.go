package quantity

import (
	"math"
	"testing"
)

func TestFormatValue(t *testing.T) {
	tests := []struct{ name, got, want string }{
		{"nothing", Duration(0), "0 s"},
		{"nanoseconds", Duration(12e-9), "12 ns"},
		{"microseconds", Duration(850e-6), "850 µs"},
		{"milliseconds", Duration(0.0123), "12.3 ms"},
		{"below a second", Duration(0.9994), "999 ms"},
		{"rounds to a second", Duration(0.9996), "1 s"},
		{"seconds", Duration(1.2), "1.2 s"},
		{"seconds in a column", Measured(1.2), "1.20 s"},
		{"just below a minute", Duration(59.94), "59.9 s"},
		{"a minute", Duration(59.96), "1m 00s"},
		{"minutes", Duration(125), "2m 05s"},
		{"hours", Duration(3725), "1h 02m 05s"},
		{"negative", Duration(-0.0123), "-12.3 ms"},
		{"clock below a minute", Clock(30), "30s"},
		{"integer", Integer(1234567), "1,234,567"},
		{"three digits", Integer(999), "999"},
		{"negative integer", Integer(-1234), "-1,234"},
		{"negative three digits", Integer(-123), "-123"},
		{"smallest", Integer(math.MinInt64), "-9,223,372,036,854,775,808"},
		{"no share", Ratio(0), "0 %"},
		{"small is not none", Ratio(0.000001), "<0.01 %"},
		{"large is not all", Ratio(0.999999), ">99.99 %"},
		{"all", Ratio(1), "100 %"},
		{"share", Ratio(0.0123), "1.23 %"},
		{"rate", Value(400, "1/s"), "400/s"},
		{"bytes", Value(1536, "By"), "1.5 KiB"},
		{"bytes per second", Value(1536, "By/s"), "1.5 KiB/s"},
		{"many bytes", Value(5e15, "By"), "4,547 TiB"},
		{"currency", Value(12.5, "EUR"), "12.5 EUR"},
		{"annotation", Value(3, "{message}"), "3 message"},
		{"bare", Value(0.00012345, ""), "0.000123"},
		{"a value with many digits", Value(0.022642256, "s"), "22.6 ms"},
		{"infinity", Value(math.Inf(1), ""), "∞"},
		{"minus infinity", Value(math.Inf(-1), "s"), "-∞"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.got != tt.want {
				t.Errorf("got %q, want %q", tt.got, tt.want)
			}
		})
	}
}
