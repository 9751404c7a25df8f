package scenario

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// decimalPattern keeps out what ParseFloat accepts beyond plain numbers: hexadecimal, infinities,
// underscores and exponents.
var decimalPattern = regexp.MustCompile(`^[+-]?([0-9]+(\.[0-9]+)?|\.[0-9]+)$`)

// parseLimit turns text into base units of unit; a leading ? of unit says that a bare number fits as well.
func parseLimit(text, unit string) (float64, bool) {
	if bare, ok := strings.CutPrefix(unit, "?"); ok {
		if v, ok := parseDecimal(text, ""); ok {
			return v, true
		}
		unit = bare
	}
	switch unit {
	case UnitSeconds:
		return parseSeconds(text)
	case UnitPerSecond:
		return parseRate(text)
	case UnitRatio:
		share, ok := strings.CutSuffix(text, "%")
		if !ok {
			return 0, false
		}
		return parseDecimal(share, "e-2")
	case UnitBytes:
		return parseBytes(text)
	case UnitByteRate:
		size, ok := strings.CutSuffix(text, "/s")
		if !ok {
			return 0, false
		}
		return parseBytes(size)
	}
	return parseDecimal(text, "")
}

func parseDecimal(text, exponent string) (float64, bool) {
	if !decimalPattern.MatchString(text) {
		return 0, false
	}
	v, err := strconv.ParseFloat(text+exponent, 64)
	return v, err == nil
}

// parseSeconds parses a Go duration. One divided value is exact to the nearest float64, which
// Duration.Seconds is not.
func parseSeconds(text string) (float64, bool) {
	if s, ok := strings.CutSuffix(text, "s"); ok {
		if v, ok := parseDecimal(s, ""); ok {
			return v, true
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || text == "0" || text == "+0" || text == "-0" {
		return 0, false
	}
	return float64(d) / 1e9, true
}

func parseRate(text string) (float64, bool) {
	number, per, ok := strings.Cut(text, "/")
	v, isNumber := parseDecimal(number, "")
	if !ok || !isNumber {
		return 0, false
	}
	switch per {
	case "s":
		return v, true
	case "m":
		return v / 60, true
	case "h":
		return v / 3600, true
	}
	return 0, false
}

func parseBytes(text string) (float64, bool) {
	for _, u := range checkBytes {
		if number, ok := strings.CutSuffix(text, u.name); ok {
			if v, ok := parseDecimal(number, ""); ok {
				return v * u.size, true
			}
		}
	}
	return 0, false
}

func unitName(unit string) string {
	if unit == UnitNone {
		return "none"
	}
	return unit
}

// unitNeeded and unitExample are for messages.
func unitNeeded(unit string) string {
	switch unit {
	case UnitSeconds:
		return "a duration is"
	case UnitPerSecond:
		return "a rate is"
	case UnitRatio:
		return "a share is"
	case "?" + UnitRatio:
		return "a share or a bare number is"
	case UnitBytes:
		return "a size is"
	case UnitByteRate:
		return "a size per second is"
	}
	return "a bare number is"
}

func unitExample(unit string) string {
	switch unit {
	case UnitSeconds:
		return "250ms"
	case UnitPerSecond:
		return "400/s or 30/m"
	case UnitRatio:
		return "1%"
	case "?" + UnitRatio:
		return "1% or 1.5"
	case UnitBytes:
		return "64KiB"
	case UnitByteRate:
		return "10MiB/s"
	}
	return "12.5"
}
