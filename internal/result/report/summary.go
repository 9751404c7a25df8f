package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"proofload/internal/judge"
	"proofload/internal/scenario/quantity"
)

// SummaryOptions say how the summary is shown.
type SummaryOptions struct {
	Color bool // the terminal understands ANSI colours
}

// WriteSummary renders the end of a run for a terminal: verdict, key numbers, criteria. What comes
// from the scenario or the target cannot steer the terminal.
func WriteSummary(w io.Writer, d *Document, o SummaryOptions) error {
	s := &summary{color: o.Color}
	s.printf("%s  %s\n", s.paint(toneOf(d.Verdict.Result), plain(d.Verdict.Result)), plain(d.Run.Name))
	s.printf("%s\n", plain(headline(d)))
	for _, r := range d.Verdict.Reasons {
		if d.Verdict.Result == Pass && len(d.Verdict.Reasons) == 1 {
			break // the headline has said it
		}
		s.printf("  - %s\n", plain(r.Message))
	}
	s.printf("\n")
	s.numbers(d)
	s.criteria(d)
	for _, f := range d.Findings {
		s.printf("%s  %s\n", s.paint(toneWarn, plain(f.Kind)), plain(f.Recommendation))
		for _, e := range f.Evidence {
			s.printf("  - %s\n", plain(e.Message))
		}
	}
	if _, err := io.WriteString(w, s.b.String()); err != nil {
		return fmt.Errorf("write summary of run %s: %w", d.Run.ID, err)
	}
	return nil
}

type summary struct {
	b     strings.Builder
	color bool
}

func (s *summary) printf(format string, args ...any) { fmt.Fprintf(&s.b, format, args...) }

func (s *summary) numbers(d *Document) {
	total := Series{}
	if len(d.Series) > 0 {
		total = d.Series[0]
	}
	line := func(name, format string, args ...any) {
		s.printf("  %-10s "+format+"\n", append([]any{name}, args...)...)
	}
	line("arrivals", "%s planned, %s sent (%s)", quantity.Integer(d.Load.Planned), quantity.Integer(d.Load.Sent), shareOf(d.Load.Sent, d.Load.Planned))
	if missed := notSentWords(d); missed != "" {
		line("", "not sent: %s", plain(missed))
	}
	without := ""
	if slices.ContainsFunc(d.Phases, func(p Phase) bool { return p.Warmup }) {
		without = ", without warm-up" // the arrivals above are those of all phases
	}
	line("requests", "%s, %s, errors %s (%s)%s", quantity.Integer(total.Requests), optional(total.RatePerS, "1/s"), quantity.Integer(total.Errors),
		shareOf(total.Errors, total.Requests), without)
	for _, kind := range mostFirst(total.ErrorsByKind) {
		line("", "%s %s: %s", quantity.Integer(total.ErrorsByKind[kind]), plain(kind), plain(kindText(kind)))
	}
	for _, kind := range mostFirst(total.Unsent) {
		line("", "%s never sent, %s: %s", quantity.Integer(total.Unsent[kind]), plain(kind), plain(kindText(kind)))
	}
	for _, row := range []struct {
		name string
		d    Dist
	}{{"response", total.ResponseTime}, {"service", total.ServiceTime}} {
		line(row.name, "p50 %s   p95 %s   p99 %s   max %s", row.d.of(row.d.P50), row.d.of(row.d.P95), row.d.of(row.d.P99), row.d.of(row.d.Max))
	}
	if d.Search != nil {
		var probes []string
		for _, p := range d.Search.Probes {
			probes = append(probes, judge.FormatRate(p.RatePerS)+" "+p.Outcome)
		}
		line("search", "%s: %s", plural(int64(len(probes)), "probe"), plain(strings.Join(probes, ", ")))
	}
	c := generatorCheck(d)
	line("generator", "%s", strings.TrimSuffix(c.Text+", "+c.Detail, ", "))
	s.printf("\n")
}

// criteria prints the table of criteria, with the reason of a result below its row.
func (s *summary) criteria(d *Document) {
	if len(d.Criteria) == 0 {
		return
	}
	rows := [][]string{{"CRITERION", "RESULT", "OBSERVED", "LIMIT"}}
	for _, c := range d.Criteria {
		name := rowName(c.Name, c.Labels)
		if c.Severity != "critical" {
			name += " [" + c.Severity + "]"
		}
		rows = append(rows, []string{plain(name), plain(c.Result), optional(c.Observed, plain(c.Unit)), plain(limit(c))})
	}
	var widths [4]int
	for _, row := range rows {
		for i, v := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(v))
		}
	}
	for i, row := range rows {
		result := pad(row[1], widths[1])
		if i > 0 {
			result = s.paint(toneOf(row[1]), row[1]) + strings.Repeat(" ", widths[1]-utf8.RuneCountInString(row[1]))
		}
		line := "  " + pad(row[0], widths[0]) + "  " + result + "  " + pad(row[2], widths[2]) + "  " + row[3]
		s.printf("%s\n", line)
		if i > 0 && d.Criteria[i-1].Reason != "" {
			s.printf("    %s\n", plain(d.Criteria[i-1].Reason))
		}
	}
	s.printf("\n")
}

// operator returns how a check compares with its limit, with a space behind it: `... < 250ms` ends so.
func operator(check string) string {
	words := strings.Fields(check)
	if n := len(words); n >= 2 && slices.Contains([]string{"<", "<=", ">", ">=", "==", "!="}, words[n-2]) {
		return words[n-2] + " "
	}
	return ""
}

// paint colours text by its tone.
func (s *summary) paint(tone, text string) string {
	codes := map[string]string{toneGood: "1;32", toneBad: "1;31", toneWarn: "1;33", toneNeutral: "1;35"}
	if !s.color {
		return text
	}
	return "\x1b[" + codes[tone] + "m" + text + "\x1b[0m"
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}

// plain replaces everything that a terminal might obey.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if isControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// isControl tells characters that steer instead of being shown: control codes, line separators and
// those that change the direction of text.
func isControl(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}
