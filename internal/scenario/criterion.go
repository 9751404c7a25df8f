package scenario

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"proofload/internal/scenario/expression"
)

// Units of Check.Limit.
const (
	UnitSeconds   = "s"
	UnitPerSecond = "1/s"
	UnitRatio     = "ratio"
	UnitBytes     = "By"
	UnitByteRate  = "By/s"
	UnitNone      = ""
)

// Statistics of a Selection.
const (
	StatCount      = "count"
	StatRate       = "rate"
	StatSum        = "sum"
	StatMean       = "mean"
	StatStddev     = "stddev"
	StatMin        = "min"
	StatMax        = "max"
	StatErrorRatio = "error_ratio"
	StatTrend      = "trend"
	StatQuantile   = "quantile" // written p50 ... p99.99
)

// Names of metrics that only criteria know: they are derived, not recorded under these names.
const (
	MetricRequests = "requests"  // every request sent; counted only
	MetricInFlight = "in_flight" // iterations in flight
)

// checkMetrics is the engine's metrics, by the names that package metric records them under, and the
// unit of their values.
var checkMetrics = map[string]string{
	MetricRequests:    UnitNone,
	"iterations":      UnitSeconds,
	"response_time":   UnitSeconds,
	"service_time":    UnitSeconds,
	"schedule_lag":    UnitSeconds,
	"dns_time":        UnitSeconds,
	"tls_time":        UnitSeconds,
	"connect_time":    UnitSeconds,
	"first_byte_time": UnitSeconds,
	"first_message":   UnitSeconds,
	"message_gap":     UnitSeconds,
	"reply_time":      UnitSeconds,
	"stream_time":     UnitSeconds,
	"messages":        UnitNone,
	MetricInFlight:    UnitNone,
	"retried":         UnitNone,
	"redirects":       UnitNone,
	"bytes_in":        UnitBytes,
	"bytes_out":       UnitBytes,
	"recovery_time":   UnitSeconds,
	"detection_time":  UnitSeconds,
}

// checkCounted is the metrics that have no values, but a number.
var checkCounted = []string{MetricRequests, "retried", "redirects"}

// OutcomeLabels tell what came of a request. A selection without them says what was tried.
var OutcomeLabels = []string{"status", "code", "error", "outcome"}

// lacks is the labels of the engine that the series of a metric do not have: nothing would ever match them. Other metrics
// than those named, the scenario's measures too, are recorded by step, whatever came of the request.
func lacks(metric string) []string {
	switch metric {
	case MetricRequests, "response_time", "service_time":
		return nil
	case "iterations":
		return []string{"step", "status", "code"}
	case MetricInFlight: // a gauge of the whole fleet
		return append([]string{"step", "worker"}, OutcomeLabels...)
	case "schedule_lag":
		return append([]string{"flow", "step"}, OutcomeLabels...)
	}
	return slices.Clone(OutcomeLabels)
}

// labelProblem says why a label cannot tell the series of a metric apart; empty: it can.
func labelProblem(metric, label string) string {
	if p := misspelt(label); p != "" {
		return p
	}
	without := lacks(metric)
	if !checkLater[metric] {
		without = append(without, "fault")
	}
	if !slices.Contains(without, label) {
		return ""
	}
	var known []string
	for _, l := range CheckLabels {
		if !slices.Contains(without, l) {
			known = append(known, l)
		}
	}
	return fmt.Sprintf("%s is no label of %s, which has %s", label, metric, strings.Join(known, ", "))
}

// misspelt refuses a name that looks like a misspelt label of the engine: one letter too many, too few or swapped. A
// replaced letter does not count, for the workers' own labels, such as node, may be that near.
func misspelt(name string) string {
	if slices.Contains(CheckLabels, name) {
		return ""
	}
	near := expression.Nearest(name, CheckLabels)
	if near == "" {
		return ""
	}
	a, b := []byte(name), []byte(near)
	slices.Sort(a)
	slices.Sort(b)
	if len(name) == len(near) && string(a) != string(b) {
		return ""
	}
	return fmt.Sprintf("unknown label %q; did you mean %q?", name, near)
}

// checkLater is the metrics of checkMetrics that no run records yet.
var checkLater = map[string]bool{"recovery_time": true, "detection_time": true}

// CheckLabels is the labels of the engine's series. Criteria may also name the workers' own.
var CheckLabels = []string{"phase", "flow", "step", "status", "code", "error", "outcome", "fault", "worker"}

// CheckError says what is wrong with a criterion's check, and where.
type CheckError struct {
	Source  string
	Offset  int // in bytes into Source
	Message string
}

func (e *CheckError) Error() string { return e.Message }

// NotSupportedError names a feature of the language that this version does not have yet.
type NotSupportedError struct {
	Feature string
	Source  string
	Offset  int // in bytes into Source
}

func (e *NotSupportedError) Error() string { return e.Feature + " is not supported yet" }

// String writes the check in canonical form: ParseCheck of it yields an equal Check.
func (c Check) String() string {
	var b strings.Builder
	b.WriteString(c.Left.String())
	if c.Over != nil {
		b.WriteString(" / " + c.Over.String())
	}
	b.WriteString(" " + c.Op + " " + FormatLimit(c.Limit, c.Unit))
	if c.Left.Stat == StatTrend {
		b.WriteString("/" + c.Left.Per)
	}
	return b.String()
}

// sides are the selections of a check: one, or both of a quotient.
func (c Check) sides() []Selection {
	if c.Over == nil {
		return []Selection{c.Left}
	}
	return []Selection{c.Left, *c.Over}
}

// String writes the selection as a criterion does. The period of a trend stands with the limit.
func (s Selection) String() string {
	stat := s.Stat
	if stat == StatQuantile {
		stat = "p" + shiftPoint(s.Quantile)
	}
	if len(s.Matchers) == 0 {
		return fmt.Sprintf("%s(%s)", stat, s.Metric)
	}
	matchers := make([]string, len(s.Matchers))
	for i, m := range s.Matchers {
		matchers[i] = m.Label + m.Op + strconv.Quote(m.Value)
	}
	return fmt.Sprintf("%s(%s{%s})", stat, s.Metric, strings.Join(matchers, ","))
}

// FormatLimit writes a value of a unit of Check in the spelling of a scenario, without loss.
func FormatLimit(v float64, unit string) string {
	switch unit {
	case UnitSeconds:
		return formatSeconds(v)
	case UnitPerSecond:
		return formatNumber(v) + "/s"
	case UnitRatio:
		return shiftPoint(v) + "%"
	case UnitBytes:
		return formatBytes(v)
	case UnitByteRate:
		return formatBytes(v) + "/s"
	}
	return formatNumber(v)
}

func formatNumber(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// shiftPoint writes v times 100 by moving the decimal point, which rounds nothing.
func shiftPoint(v float64) string {
	digits, exponent, _ := strings.Cut(strconv.FormatFloat(v, 'e', -1, 64), "e")
	e, _ := strconv.Atoi(exponent)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	digits = strings.Replace(digits, ".", "", 1)
	point := e + 3 // digits before the decimal point
	switch {
	case point <= 0:
		digits = "0." + strings.Repeat("0", -point) + digits
	case point >= len(digits):
		digits += strings.Repeat("0", point-len(digits))
	default:
		digits = digits[:point] + "." + digits[point:]
	}
	if strings.Contains(digits, ".") {
		digits = strings.TrimSuffix(strings.TrimRight(digits, "0"), ".")
	}
	if trimmed := strings.TrimLeft(digits, "0"); trimmed != "" && trimmed[0] != '.' {
		digits = trimmed
	} else {
		digits = "0" + trimmed
	}
	return sign + digits
}

func formatSeconds(v float64) string {
	d := time.Duration(math.Round(v * 1e9))
	if float64(d)/1e9 != v {
		return formatNumber(v) + "s" // finer than a nanosecond, or longer than a Duration
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func formatBytes(v float64) string {
	for i := len(checkBytes) - 1; i >= 0; i-- {
		u := checkBytes[i]
		if u.binary && v != 0 && math.Abs(v) >= u.size && v/u.size == math.Trunc(v/u.size) {
			return formatNumber(v/u.size) + u.name
		}
	}
	return formatNumber(v) + "B"
}

// checkBytes is the units of sizes, the binary ones in growing order.
var checkBytes = []struct {
	name   string
	size   float64
	binary bool
}{
	{"kB", 1e3, false},
	{"MB", 1e6, false},
	{"GB", 1e9, false},
	{"TB", 1e12, false},
	{"KiB", 1 << 10, true},
	{"MiB", 1 << 20, true},
	{"GiB", 1 << 30, true},
	{"TiB", 1 << 40, true},
	{"B", 1, false},
}
