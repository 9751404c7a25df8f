// Package quantity writes what was measured for readers, the same way wherever it is shown: live, in
// messages and in reports. It keeps three significant digits at least and no more than suit a reader;
// scenario.FormatLimit writes what a criterion says, and keeps every digit.
package quantity

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Value renders v, which is in a base unit: one of scenario.Check, or any other word, which then stands
// behind the number without the braces of an annotation.
func Value(v float64, unit string) string {
	switch { // no unit makes more of what is beyond every number
	case math.IsInf(v, 1):
		return "∞"
	case math.IsInf(v, -1):
		return "-∞"
	}
	switch unit {
	case "s":
		return Duration(v)
	case "1/s":
		return Digits(v) + "/s"
	case "ratio":
		return Ratio(v)
	case "By":
		return size(v)
	case "By/s":
		return size(v) + "/s"
	case "":
		return Digits(v)
	default:
		return Digits(v) + " " + strings.Trim(unit, "{}")
	}
}

// Duration renders seconds with up to three significant digits: 850 µs, 12.3 ms, 1.2 s, 2m 05s.
func Duration(s float64) string { return scaled(s, Digits) }

// Measured renders seconds with three significant digits, so that a column of them lines up.
func Measured(s float64) string { return scaled(s, significant) }

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
		return Clock(s)
	}
}

// Clock renders a longer duration or an instant of run time: 2m 05s, 1h 02m 05s.
func Clock(s float64) string {
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

// size renders a size in binary multiples.
func size(v float64) string {
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if math.Abs(v) < 1024 {
			return Digits(v) + " " + unit
		}
		v /= 1024
	}
	return Digits(v) + " TiB"
}

// Ratio renders a share as a percentage; a small one that is not zero never reads as zero, and a
// large one that is not all never as all.
func Ratio(r float64) string {
	switch p := 100 * r; {
	case p > 0 && p < 0.01:
		return "<0.01 %"
	case p < 100 && p > 99.99:
		return ">99.99 %"
	default:
		return trim(strconv.FormatFloat(p, 'f', 2, 64)) + " %"
	}
}

// Integer renders n with thin groups of three: 1,234,567.
func Integer(n int64) string {
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

// Digits renders v with up to three significant digits, and integers above that as they are.
func Digits(v float64) string {
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
		return Integer(int64(math.Round(v)))
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
