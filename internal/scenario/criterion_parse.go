package scenario

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"proofload/internal/scenario/expression"
)

// CheckOption tells ParseCheck what the scenario declares.
type CheckOption func(*checkParser)

// WithMetrics makes the measures and sources of a scenario known, with their units: s, 1/s, ratio
// and By are compared with a duration, a rate, a share and a size; every other unit, and none,
// with a bare number.
func WithMetrics(units map[string]string) CheckOption {
	return func(p *checkParser) { p.declared = units }
}

// ParseCheck parses the check of a criterion:
//
//	STAT(METRIC{label="v",...}) [/ STAT(METRIC{...})] OP VALUE
//
// The limit is turned into the base unit of what is compared. The error is a *CheckError, or a
// *NotSupportedError for what the language knows and this version does not do.
func ParseCheck(src string, opts ...CheckOption) (Check, error) {
	p := &checkParser{src: src}
	for _, opt := range opts {
		opt(p)
	}
	var c Check
	p.parse(&c)
	switch {
	case p.err != nil:
		return Check{}, p.err
	case p.later != nil:
		return Check{}, p.later
	}
	return c, nil
}

// checkParser is a recursive descent over src; after the first error it does nothing more.
type checkParser struct {
	src      string
	at       int
	declared map[string]string
	err      *CheckError
	later    *NotSupportedError
}

func (p *checkParser) fail(offset int, format string, args ...any) {
	if p.err == nil {
		p.err = &CheckError{Source: p.src, Offset: offset, Message: fmt.Sprintf(format, args...)}
	}
}

func (p *checkParser) refuse(offset int, feature string) {
	if p.later == nil {
		p.later = &NotSupportedError{Feature: feature, Source: p.src, Offset: offset}
	}
}

func (p *checkParser) space() {
	for p.at < len(p.src) && strings.IndexByte(" \t\r\n", p.src[p.at]) >= 0 {
		p.at++
	}
}

// accept takes token if it comes next.
func (p *checkParser) accept(token string) bool {
	p.space()
	if p.err != nil || !strings.HasPrefix(p.src[p.at:], token) {
		return false
	}
	p.at += len(token)
	return true
}

func (p *checkParser) expect(token, after string) {
	if !p.accept(token) {
		p.fail(p.at, "%q is missing after %s", token, after)
	}
}

// word takes the longest run of letters, digits, underscores and the extra bytes.
func (p *checkParser) word(extra string) string {
	p.space()
	start := p.at
	for p.at < len(p.src) && (isNameByte(p.src[p.at]) || strings.IndexByte(extra, p.src[p.at]) >= 0) {
		p.at++
	}
	return p.src[start:p.at]
}

func isNameByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func (p *checkParser) parse(c *Check) {
	unit := p.selection(&c.Left)
	if p.accept("/") {
		start := p.at
		c.Over = new(Selection)
		over := p.selection(c.Over)
		unit = p.quotientUnit(start, unit, over)
		if c.Left.Stat == StatTrend || c.Over.Stat == StatTrend {
			p.fail(start, "a trend cannot be part of a quotient")
		}
	}
	p.operator(c)
	c.Unit = strings.TrimPrefix(unit, "?")
	p.limit(c, unit)
	p.space()
	if p.at < len(p.src) {
		p.fail(p.at, "unexpected %q after the value", p.src[p.at:])
	}
}

// quotientUnit is the unit of left / over. A leading ? says that a bare number fits as well.
func (p *checkParser) quotientUnit(at int, left, over string) string {
	switch over {
	case left:
		return "?" + UnitRatio
	case UnitNone:
		return left
	}
	p.fail(at, "the two sides of / have different units (%s and %s); the right one must have the left one's, or none", unitName(left), unitName(over))
	return UnitNone
}

// selection parses STAT(METRIC{...}) and returns the unit of its value.
func (p *checkParser) selection(s *Selection) string {
	p.space()
	start := p.at
	p.stat(s, p.word("."), start)
	p.expect("(", "the statistic")
	p.space()
	metricAt := p.at
	s.Metric = p.word("")
	unit := p.metricUnit(s.Metric, metricAt)
	if p.accept("{") {
		p.matchers(s)
	}
	p.expect(")", "the metric")
	return p.resultUnit(s, unit, start)
}

var checkStats = []string{
	StatCount, StatRate, StatSum, StatMean, StatStddev, StatMin, StatMax, StatErrorRatio, StatTrend, "p50", "p90", "p95", "p99", "p99.9",
}

var quantilePattern = regexp.MustCompile(`^p([0-9]{1,2}(\.[0-9]{1,4})?)$`)

func (p *checkParser) stat(s *Selection, word string, at int) {
	if m := quantilePattern.FindStringSubmatch(word); m != nil {
		s.Stat = StatQuantile
		s.Quantile, _ = strconv.ParseFloat(m[1]+"e-2", 64)
		if s.Quantile == 0 {
			p.fail(at, "p0 is no percentile; write min")
		}
		return
	}
	digits := strings.TrimPrefix(word, "p")
	switch {
	case word == "":
		p.fail(at, "a statistic is missing, as in p99(response_time) < 250ms")
	case word == "p100":
		p.fail(at, "p100 is no percentile; write max")
	case word != digits && len(digits) > 2 && strings.Trim(digits, "0123456789") == "":
		p.fail(at, "%s is no percentile; write p%s.%s", word, digits[:2], digits[2:])
	case word == StatQuantile || !slices.Contains(checkStats, word):
		p.fail(at, "unknown statistic %q%s", word, suggest(word, checkStats))
	}
	s.Stat = word
}

// suggest is a "did you mean", or the list of what is known.
func suggest(word string, known []string) string {
	if best := expression.Nearest(word, known); best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	return "; known: " + strings.Join(known, ", ")
}

func (p *checkParser) metricUnit(name string, at int) string {
	if unit, ok := p.declared[name]; ok {
		switch unit {
		case UnitSeconds, UnitPerSecond, UnitRatio, UnitBytes, UnitByteRate:
			return unit
		}
		return UnitNone
	}
	unit, ok := checkMetrics[name]
	switch {
	case name == "":
		p.fail(at, "a metric is missing, as in p99(response_time)")
	case !ok:
		known := slices.Concat(slices.Collect(maps.Keys(checkMetrics)), slices.Collect(maps.Keys(p.declared)))
		slices.Sort(known)
		p.fail(at, "unknown metric %q%s", name, suggest(name, known))
	case checkLater[name]:
		p.refuse(at, name)
	}
	return unit
}

// resultUnit is the unit of the statistic of a metric of the given unit.
func (p *checkParser) resultUnit(s *Selection, unit string, at int) string {
	_, declared := p.declared[s.Metric]
	counted := slices.Contains(checkCounted, s.Metric) && !declared
	switch s.Stat {
	case StatCount:
		return UnitNone
	case StatRate:
		if unit == UnitBytes {
			return UnitByteRate
		}
		return UnitPerSecond
	case StatErrorRatio:
		if s.Metric != MetricRequests && s.Metric != "iterations" && s.Metric != "response_time" {
			p.fail(at, "error_ratio is of requests, response_time or iterations, not of %s", s.Metric)
		}
		return UnitRatio
	}
	switch {
	case counted && s.Metric == MetricRequests:
		p.fail(at, "requests is only counted: use count, rate or error_ratio of it, or %s(response_time)", s.Stat)
	case counted:
		p.fail(at, "%s is only counted: use count or rate of it", s.Metric)
	}
	return unit
}

func (p *checkParser) matchers(s *Selection) {
	for p.err == nil && !p.accept("}") {
		p.space()
		at := p.at
		m := Matcher{Label: p.word("-.")}
		p.label(s.Metric, m.Label, at)
		p.space()
		opAt := p.at
		for _, op := range []string{"=~", "!~", "!=", "="} {
			if p.accept(op) {
				m.Op = op
				break
			}
		}
		if m.Op == "" {
			p.fail(opAt, "a matcher needs =, !=, =~ or !~ after the label")
		}
		p.space()
		valueAt := p.at
		m.Value = p.quoted()
		if m.Op == "=~" || m.Op == "!~" {
			if _, err := regexp.Compile("^(?:" + m.Value + ")$"); err != nil {
				p.fail(valueAt, "not a regular expression: %v", err)
			}
		}
		s.Matchers = append(s.Matchers, m)
		if !p.accept(",") {
			p.expect("}", "the matchers")
			return
		}
	}
}

// label refuses a name that the series of a metric cannot have.
func (p *checkParser) label(metric, name string, at int) {
	if name == "" {
		p.fail(at, "a label is missing, as in {step=\"login\"}")
		return
	}
	if problem := labelProblem(metric, name); problem != "" {
		p.fail(at, "%s", problem)
	}
}

func (p *checkParser) quoted() string {
	p.space()
	if p.err != nil {
		return ""
	}
	q, err := strconv.QuotedPrefix(p.src[p.at:])
	if err != nil || q[0] == '\'' {
		p.fail(p.at, `the value of a label stands in double quotes, as in step="login"`)
		return ""
	}
	p.at += len(q)
	value, _ := strconv.Unquote(q) // QuotedPrefix has checked it
	return value
}

func (p *checkParser) operator(c *Check) {
	p.space()
	at := p.at
	for _, op := range []string{"<=", ">=", "==", "!=", "<", ">"} {
		if p.accept(op) {
			c.Op = op
			return
		}
	}
	if p.accept("=") {
		p.fail(at, "= compares labels; values are compared with ==")
	}
	p.fail(at, "an operator is missing: < <= > >= == or !=")
}

// limit parses the value. A leading ? of unit says that a bare number fits as well.
func (p *checkParser) limit(c *Check, unit string) {
	p.space()
	at := p.at
	if p.accept("baseline") {
		p.refuse(at, "baseline")
		if p.accept("+") || p.accept("-") {
			p.space()
			at = p.at
			p.value(at, UnitRatio)
		}
		return
	}
	c.Limit = p.value(at, unit)
	if c.Left.Stat == StatTrend {
		p.expect("/", "the change of a trend, as in 5ms/h")
		p.space()
		at := p.at
		c.Left.Per = p.word("")
		if c.Left.Per != "h" && c.Left.Per != "m" && c.Left.Per != "s" {
			p.fail(at, "a trend is per h, m or s")
		}
	}
}

// value parses one number with its unit and returns it in base units.
func (p *checkParser) value(at int, unit string) float64 {
	start := p.at
	for p.at < len(p.src) && (isNameByte(p.src[p.at]) || strings.IndexByte(".%+-µμ", p.src[p.at]) >= 0 || p.src[p.at] >= 0x80) {
		p.at++
	}
	text := p.src[start:p.at]
	if strings.TrimPrefix(unit, "?") == UnitPerSecond || unit == UnitByteRate {
		if p.accept("/") {
			text += "/" + p.word("")
		}
	}
	v, ok := parseLimit(text, unit)
	switch {
	case text == "":
		p.fail(at, "a value is missing")
	case !ok:
		p.fail(at, "%s needed here, such as %s; got %q", unitNeeded(unit), unitExample(unit), text)
	case math.IsInf(v, 0) || math.IsNaN(v):
		p.fail(at, "%q is no number", text)
	}
	return v
}
