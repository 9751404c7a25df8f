package report

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// none stands where nothing was measured.
const none = "–"

// duration renders seconds with up to three significant digits: 850 µs, 12.3 ms, 1.2 s, 2m 05s.
func duration(s float64) string { return scaled(s, digits) }

// measured renders seconds with three significant digits, so that a column of them lines up.
func measured(s float64) string { return scaled(s, significant) }

// scaled renders seconds in the unit that suits them.
func scaled(s float64, render func(float64) string) string {
	abs := math.Abs(s)
	switch {
	case s == 0:
		return "0 s"
	case abs < 999.5e-9:
		return render(s*1e9) + " ns"
	case abs < 999.5e-6:
		return render(s*1e6) + " µs"
	case abs < 0.9995:
		return render(s*1e3) + " ms"
	case abs < 59.95:
		return render(s) + " s"
	default:
		return clock(s)
	}
}

// clock renders a longer duration or an instant of run time: 2m 05s, 1h 02m 05s.
func clock(s float64) string {
	n := int64(math.Round(math.Abs(s)))
	sign := ""
	if s < 0 && n > 0 {
		sign = "-"
	}
	switch {
	case n < 60:
		return fmt.Sprintf("%s%ds", sign, n)
	case n < 3600:
		return fmt.Sprintf("%s%dm %02ds", sign, n/60, n%60)
	default:
		return fmt.Sprintf("%s%dh %02dm %02ds", sign, n/3600, n/60%60, n%60)
	}
}

// instant renders run time with a tenth of a second.
func instant(s float64) string {
	tenths := int64(math.Round(math.Abs(s) * 10))
	if tenths < 600 {
		return fmt.Sprintf("%d.%d s", tenths/10, tenths%10)
	}
	return fmt.Sprintf("%d:%02d.%d", tenths/600, tenths/10%60, tenths%10)
}

// digits renders v with up to three significant digits, and integers above that as they are.
func digits(v float64) string {
	if s := significant(v); strings.Contains(s, ".") && !strings.Contains(s, "e") {
		return trim(s)
	}
	return significant(v)
}

// significant renders v with three significant digits, and integers above that as they are.
func significant(v float64) string {
	abs := math.Abs(v)
	switch {
	case abs >= 99.95:
		return integer(int64(math.Round(v)))
	case abs >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case abs >= 0.9995 || v == 0:
		return strconv.FormatFloat(v, 'f', 2, 64)
	default:
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
}

// trim removes zeros behind the decimal point.
func trim(s string) string {
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// integer renders n with thin groups of three: 1,234,567.
func integer(n int64) string {
	s := strconv.FormatInt(n, 10)
	first := 0
	if n < 0 {
		first = 1
	}
	for i := len(s) - 3; i > first; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// plural renders a count of things: 1 second, 2 seconds.
func plural(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return integer(n) + " " + thing + "s"
}

// ratio renders a share as a percentage; a small one that is not zero never reads as zero, and a
// large one that is not all never as all.
func ratio(r float64) string {
	switch p := 100 * r; {
	case p > 0 && p < 0.01:
		return "<0.01 %"
	case p < 100 && p > 99.99:
		return ">99.99 %"
	default:
		return trim(strconv.FormatFloat(p, 'f', 2, 64)) + " %"
	}
}

// value renders v in a unit of the report.
func value(v float64, unit string) string {
	switch unit {
	case "s":
		return duration(v)
	case "1/s":
		return digits(v) + "/s"
	case "ratio":
		return ratio(v)
	case "By":
		return size(v)
	case "By/s":
		return size(v) + "/s"
	case "":
		return digits(v)
	default:
		return digits(v) + " " + strings.Trim(unit, "{}")
	}
}

// size renders a size in binary multiples.
func size(v float64) string {
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if math.Abs(v) < 1024 {
			return digits(v) + " " + unit
		}
		v /= 1024
	}
	return digits(v) + " TiB"
}

// optional renders a value that may not have been measured.
func optional(v *float64, unit string) string {
	if v == nil {
		return none
	}
	return value(*v, unit)
}

// of renders one statistic of d.
func (d Dist) of(v float64) string {
	if d.Count == 0 {
		return none
	}
	return measured(v)
}

// pairs renders labels as name=value, in the order of the names.
func pairs(m map[string]string) string {
	parts := make([]string, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, name+"="+m[name])
	}
	return strings.Join(parts, " ")
}
