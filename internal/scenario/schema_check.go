package scenario

import (
	"maps"
	"slices"
	"strings"
)

// Patterns of the parts of a check, as checkParser reads them.
const (
	checkMetric   = `[A-Za-z0-9_]+`
	checkQuantile = `p[0-9]{1,2}(?:\.[0-9]{1,4})?`
	checkQuoted   = "(?:\"(?:[^\"\\\\\\n]|\\\\.)*\"|`[^`]*`)"
	checkMatcher  = `[A-Za-z0-9_.-]+\s*(?:=~|!~|!=|=)\s*` + checkQuoted
	checkMatchers = `\{\s*(?:` + checkMatcher + `\s*(?:,\s*` + checkMatcher + `\s*)*,?\s*)?\}`
	checkOperator = `(?:[<>]=?|[=!]=)`
	checkPer      = `\s*/\s*[smh]`
)

// checkValues is the spelling of values by their unit.
func checkValues() map[string]string {
	var sizes []string
	for _, u := range checkBytes {
		sizes = append(sizes, u.name)
	}
	size := `[+-]?` + decimalText + `(?:` + strings.Join(sizes, "|") + `)`
	return map[string]string{
		UnitNone:      `[+-]?` + decimalText,
		UnitSeconds:   `[+-]?` + spanText,
		UnitRatio:     `[+-]?` + decimalText + `%`,
		UnitPerSecond: `[+-]?` + decimalText + checkPer,
		UnitBytes:     size,
		UnitByteRate:  size + `\s*/\s*s`,
	}
}

// schema describes the text of a check: its grammar, and the unit of the value where the metric is one
// of the engine's. Measures have units of their own, which only the decoder knows.
func (*CheckSource) schema(g *generator) *Schema {
	return g.def("check", func() *Schema {
		stats := append(statWords(), checkQuantile)
		selection := `(?:` + strings.Join(stats, "|") + `)\s*\(\s*` + checkMetric + `\s*(?:` + checkMatchers + `)?\s*\)`
		values := checkValues()
		var spellings []string
		for _, unit := range slices.Sorted(maps.Keys(values)) {
			spellings = append(spellings, values[unit])
		}
		value := `(?:` + strings.Join(spellings, "|") + `)(?:` + checkPer + `)?`
		s := &Schema{
			Type:                "string",
			Pattern:             `^\s*` + selection + `(?:\s*/\s*` + selection + `)?\s*` + checkOperator + `\s*` + value + `\s*$`,
			PatternErrorMessage: `a check is expected: STAT(METRIC{label="value",...}) [/ STAT(METRIC{...})] OP VALUE, as in p99(response_time) < 250ms`,
		}
		later := slices.Sorted(maps.Keys(checkLater))
		s.AllOf = append(s.AllOf, &Schema{
			Not:          &Schema{Pattern: `^\s*[a-z0-9_.]+\s*\(\s*(?:` + strings.Join(later, "|") + `)\s*[{)]`},
			ErrorMessage: strings.Join(later, " and ") + " are not supported yet",
		})
		s.AllOf = append(s.AllOf, unitRules(values)...)
		return s
	})
}

// statWords is the statistics that are words of their own.
func statWords() []string {
	return slices.DeleteFunc(slices.Clone(checkStats), func(stat string) bool { return quantilePattern.MatchString(stat) })
}

// unitRules says for each statistic of a metric of the engine which value it is compared with, by
// asking the parser.
func unitRules(values map[string]string) []*Schema {
	type rule struct{ metrics, unit string }
	byRule := map[rule][]string{}
	var order []rule
	for _, stat := range append(statWords(), StatQuantile) {
		byUnit := map[string][]string{}
		for _, metric := range slices.Sorted(maps.Keys(checkMetrics)) {
			if checkLater[metric] {
				continue
			}
			p := &checkParser{}
			unit := p.resultUnit(&Selection{Stat: stat, Metric: metric}, checkMetrics[metric], 0)
			switch {
			case p.err != nil:
				unit = "refused"
			case stat == StatTrend:
				unit += " per"
			}
			byUnit[unit] = append(byUnit[unit], metric)
		}
		word := stat
		if stat == StatQuantile {
			word = checkQuantile
		}
		for _, unit := range slices.Sorted(maps.Keys(byUnit)) {
			r := rule{strings.Join(byUnit[unit], "|"), unit}
			if byRule[r] == nil {
				order = append(order, r)
			}
			byRule[r] = append(byRule[r], word)
		}
	}
	var out []*Schema
	for _, r := range order {
		// The operator follows at once: a quotient has a unit of its own.
		head := `^\s*(?:` + strings.Join(byRule[r], "|") + `)\s*\(\s*(?:` + r.metrics + `)\s*(?:` + checkMatchers + `)?\s*\)\s*[<>=!]`
		out = append(out, &Schema{If: &Schema{Pattern: head}, Then: unitValue(values, r.unit)})
	}
	return out
}

// unitValue is the schema of a check whose value is of a unit.
func unitValue(values map[string]string, unit string) *Schema {
	if unit == "refused" {
		return &Schema{Not: &Schema{}, ErrorMessage: "this metric has no such statistic"}
	}
	base, trend := strings.CutSuffix(unit, " per")
	value, example := values[base], unitExample(base)
	if trend {
		value, example = value+checkPer, example+"/h"
	}
	return &Schema{
		Pattern:             checkOperator + `\s*` + value + `\s*$`,
		PatternErrorMessage: unitNeeded(base) + " needed here, such as " + example,
	}
}
