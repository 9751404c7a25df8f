package report

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"
)

// maxMarkdownRows bounds each table, so that the text fits into a comment on a pull request.
const maxMarkdownRows = 25

// WriteMarkdown renders d for a pull request or a chat: the verdict, the key numbers and the tables
// that explain it. The HTML report has everything.
func WriteMarkdown(w io.Writer, d *Document) error {
	m := &markdown{}
	m.printf("## %s %s: %s\n\n%s\n\n", verdictSign(d.Verdict.Result), md(d.Verdict.Result), md(d.Run.Name), md(headline(d)))
	for _, r := range d.Verdict.Reasons {
		m.printf("- %s (`%s`)\n", md(r.Message), code(r.Code))
	}
	if len(d.Verdict.Reasons) > 0 {
		m.printf("\n")
	}
	m.tiles(d)
	m.table(searchTable(d))
	m.table(criteriaTable(d))
	m.table(violationTable(d))
	m.printf("**Can the numbers be trusted?**\n\n")
	for _, c := range checks(d) {
		m.printf("- %s %s: %s", toneSign(c.Tone), md(c.Name), md(c.Text))
		if c.Detail != "" {
			m.printf(" (%s)", md(c.Detail))
		}
		m.printf("\n")
	}
	m.printf("\n")
	m.table(findingTable(d))
	m.fold("Load by phase", phaseTable(d), notSentTable(d))
	m.fold("Response times by step", percentileTable(d), seriesTable(d))
	m.fold("Slowest requests", slowestTable(d))
	m.fold("Errors", errorTable(d), statusTable(d))
	var measures []table
	for _, category := range categories(d) {
		measures = append(measures, measureTable(d, category))
	}
	m.fold("Measures", measures...)
	m.fold("Events", eventTable(d))
	m.printf("<sub>%s · proofload %s</sub>\n", md(subtitle(d)), md(d.Versions.Proofload))
	if _, err := io.WriteString(w, m.b.String()); err != nil {
		return fmt.Errorf("write report %s as Markdown: %w", d.Run.ID, err)
	}
	return nil
}

type markdown struct{ b strings.Builder }

func (m *markdown) printf(format string, args ...any) { fmt.Fprintf(&m.b, format, args...) }

// tiles prints the key numbers as a table of one row.
func (m *markdown) tiles(d *Document) {
	var t table
	var row []string
	for _, k := range tiles(d) {
		t.Columns = append(t.Columns, number(k.Name))
		row = append(row, k.Value)
	}
	t.add(row...)
	m.table(t)
}

// fold prints tables that have rows behind a line to click on.
func (m *markdown) fold(title string, tables ...table) {
	var inner markdown
	for _, t := range tables {
		inner.table(t)
	}
	if inner.b.Len() > 0 {
		m.printf("<details><summary>%s</summary>\n\n%s</details>\n\n", title, inner.b.String())
	}
}

func (m *markdown) table(t table) {
	if len(t.Rows) == 0 {
		return
	}
	t = t.first(maxMarkdownRows)
	if t.Caption != "" {
		m.printf("**%s**\n\n", md(t.Caption))
	}
	for _, c := range t.Columns {
		m.printf("| %s ", md(c.Name))
	}
	m.printf("|\n")
	for _, c := range t.Columns {
		if c.Numeric {
			m.printf("|--:")
		} else {
			m.printf("|---")
		}
	}
	m.printf("|\n")
	for _, row := range t.Rows {
		for _, c := range row {
			m.printf("| %s ", m.cell(c))
		}
		m.printf("|\n")
	}
	if t.Left > 0 {
		m.printf("\n… and %s in the HTML report.\n", plural(int64(t.Left), "more row"))
	}
	m.printf("\n")
}

func (m *markdown) cell(c cell) string {
	s := md(c.Text)
	if c.Tone != "" {
		s = toneSign(c.Tone) + " " + s
	}
	if c.Sub != "" {
		s += "<br><sub>" + md(c.Sub) + "</sub>"
	}
	return s
}

// maxMarkdownText bounds one value, for the same reason as maxMarkdownRows.
const maxMarkdownText = 300

// special are the characters that Markdown may take for markup, wherever they stand.
var special = regexp.MustCompile("[\\\\`*_~|\\[\\]{}#!$]")

// md makes text safe inside a paragraph or a table cell: no markup, no HTML, no line break, and no
// mention of a person.
func md(s string) string {
	if r := []rune(s); len(r) > maxMarkdownText {
		s = string(r[:maxMarkdownText]) + "…"
	}
	s = strings.Join(strings.FieldsFunc(s, isControl), " ")
	s = special.ReplaceAllString(s, `\$0`)
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "@", "@\u200b").Replace(s)
}

// code makes an identifier safe between backticks: what no code has is left out.
func code(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r == '.' || unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, s)
}

func verdictSign(result string) string { return toneSign(toneOf(result)) }

func toneSign(tone string) string {
	switch tone {
	case toneGood:
		return "✅"
	case toneBad:
		return "❌"
	case toneWarn:
		return "⚠️"
	default:
		return "⏹️"
	}
}
