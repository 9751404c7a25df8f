package scenario

import (
	"math"
	"testing"
)

// A value for a reader has few digits; the limit of a criterion keeps all of them.
func TestFormatValue(t *testing.T) {
	tests := []struct {
		name string
		got  string
		want string
	}{
		{"milliseconds", FormatValue(0.022642256, UnitSeconds), "22.64ms"},
		{"the same as a limit", FormatLimit(0.022642256, UnitSeconds), "22.642256ms"},
		{"share", FormatValue(1, UnitRatio), "100%"},
		{"small share", FormatValue(0.00123456, UnitRatio), "0.1235%"},
		{"rate", FormatValue(1234567, UnitPerSecond), "1235000/s"},
		{"infinity", FormatValue(math.Inf(1), UnitNone), "+Inf"},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}
