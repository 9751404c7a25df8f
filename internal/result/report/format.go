package report

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"proofload/internal/scenario/quantity"
)

// none stands where nothing was measured.
const none = "–"

// instant renders run time with a tenth of a second.
func instant(s float64) string {
	tenths := int64(math.Round(math.Abs(s) * 10))
	if tenths < 600 {
		return fmt.Sprintf("%d.%d s", tenths/10, tenths%10)
	}
	return fmt.Sprintf("%d:%02d.%d", tenths/600, tenths/10%60, tenths%10)
}

// plural renders a count of things: 1 second, 2 seconds.
func plural(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return quantity.Integer(n) + " " + thing + "s"
}

// optional renders a value that may not have been measured.
func optional(v *float64, unit string) string {
	if v == nil {
		return none
	}
	return quantity.Value(*v, unit)
}

// of renders one statistic of d.
func (d Dist) of(v float64) string {
	if d.Count == 0 {
		return none
	}
	return quantity.Measured(v)
}

// pairs renders labels as name=value, in the order of the names.
func pairs(m map[string]string) string {
	parts := make([]string, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, name+"="+m[name])
	}
	return strings.Join(parts, " ")
}
