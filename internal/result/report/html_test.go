package report

import (
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// TestHostileText proves that no text leaves its place, whatever it is.
func TestHostileText(t *testing.T) {
	d := hostileDocument(t)
	t.Run("html", func(t *testing.T) {
		plainTags := tagsOf(t, render(t, WriteHTML, newSample(t).build(t)))
		page := render(t, WriteHTML, d)
		for tag, attributes := range tagsOf(t, page) {
			known, ok := plainTags[tag]
			if !ok {
				t.Errorf("the page has a <%s>", tag)
			}
			for _, a := range attributes {
				if !slices.Contains(known, a) {
					t.Errorf("<%s> has an attribute %s", tag, a)
				}
			}
		}
	})
	t.Run("markdown", func(t *testing.T) {
		text := render(t, WriteMarkdown, d)
		for _, bad := range []string{"<script", "<img", "](http", "@everyone", "\x1b", "\x00"} {
			if i := strings.Index(text, bad); i >= 0 && (i == 0 || text[i-1] != '\\') {
				t.Errorf("the text has %q: %q", bad, text[max(0, i-40):i+20])
			}
		}
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "| ") && strings.Count(line, "|") != strings.Count(line, `\|`)+strings.Count(line, " | ")+2 {
				t.Errorf("a row falls apart: %q", line)
			}
		}
	})
	t.Run("summary", func(t *testing.T) {
		if text := render(t, formats["summary.txt"], d); strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && isControl(r) }) {
			t.Errorf("the summary steers the terminal: %q", text)
		}
	})
	t.Run("junit", func(t *testing.T) {
		parseJUnit(t, render(t, WriteJUnit, d))
	})
}

// tagsOf lists the attributes of every kind of element in a page.
func tagsOf(t *testing.T, page string) map[string][]string {
	t.Helper()
	tags := map[string][]string{}
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			if !errors.Is(z.Err(), io.EOF) {
				t.Fatal(z.Err())
			}
			return tags
		case html.StartTagToken, html.SelfClosingTagToken:
			token := z.Token()
			if tags[token.Data] == nil {
				tags[token.Data] = []string{}
			}
			for _, a := range token.Attr {
				if !slices.Contains(tags[token.Data], a.Key) {
					tags[token.Data] = append(tags[token.Data], a.Key)
				}
			}
		case html.TextToken, html.EndTagToken, html.CommentToken, html.DoctypeToken:
		}
	}
}

// TestHTMLNeedsNoNetwork proves that the page refers to nothing outside itself.
func TestHTMLNeedsNoNetwork(t *testing.T) {
	page := render(t, WriteHTML, newSample(t).build(t))
	for tag, attributes := range tagsOf(t, page) {
		if slices.Contains([]string{"script", "link", "img", "iframe", "object", "base", "form"}, tag) {
			t.Errorf("the page has a <%s>", tag)
		}
		for _, a := range attributes {
			if slices.Contains([]string{"src", "href", "xlink:href", "style"}, a) || strings.HasPrefix(a, "on") {
				t.Errorf("<%s> has an attribute %s", tag, a)
			}
		}
	}
	if found := regexp.MustCompile(`https?://|url\(|@import`).FindString(page); found != "" {
		t.Errorf("the page has %q", found)
	}
}

// TestHTMLIsAccessible proves what a reader who cannot see needs: heads of rows and columns,
// captions, names of the charts, and ids that are unique.
func TestHTMLIsAccessible(t *testing.T) {
	page := render(t, WriteHTML, newSample(t).build(t))
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]int{}
	var labelled []string
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		a := attributes(n)
		if id, ok := a["id"]; ok {
			ids[id]++
		}
		labelled = append(labelled, strings.Fields(a["aria-labelledby"])...)
		switch {
		case n.Data == "table" && !has(n, "caption"):
			t.Error("a table has no caption")
		case n.Data == "th" && a["scope"] == "":
			t.Error("a head has no scope")
		case n.Data == "svg" && a["role"] != "img" && a["aria-hidden"] != "true" && n.Parent.Data != "svg":
			t.Error("a drawing has no role")
		}
	}
	for id, n := range ids {
		if n > 1 {
			t.Errorf("id %s stands %d times", id, n)
		}
	}
	for _, id := range labelled {
		if ids[id] == 0 {
			t.Errorf("aria-labelledby names %s, which is not there", id)
		}
	}
}

func attributes(n *html.Node) map[string]string {
	m := map[string]string{}
	for _, a := range n.Attr {
		m[a.Key] = a.Val
	}
	return m
}

func has(n *html.Node, tag string) bool {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && d.Data == tag {
			return true
		}
	}
	return false
}

// junitReader is JUnit as others read it, apart from how it is written here.
type junitReader struct {
	XMLName xml.Name `xml:"testsuites"`
	Tests   int      `xml:"tests,attr"`
	Suites  []struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Skipped  int `xml:"skipped,attr"`
		Cases    []struct {
			Name    string    `xml:"name,attr"`
			Class   string    `xml:"classname,attr"`
			Failure *struct{} `xml:"failure"`
			Error   *struct{} `xml:"error"`
			Skipped *struct{} `xml:"skipped"`
			Out     string    `xml:"system-out"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

func parseJUnit(t *testing.T, text string) junitReader {
	t.Helper()
	var r junitReader
	if err := xml.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	for _, s := range r.Suites {
		names := map[string]bool{}
		var failures, errs, skipped int
		for _, c := range s.Cases {
			if names[c.Name] || c.Class == "" {
				t.Errorf("case %q stands twice or has no class", c.Name)
			}
			names[c.Name] = true
			failures += set(c.Failure != nil)
			errs += set(c.Error != nil)
			skipped += set(c.Skipped != nil)
		}
		if s.Tests != len(s.Cases) || s.Failures != failures || s.Errors != errs || s.Skipped != skipped || r.Tests != s.Tests {
			t.Errorf("counts %+v do not fit the cases", s)
		}
	}
	return r
}

func TestJUnit(t *testing.T) {
	criterion := func(name, result string) Criterion {
		return Criterion{Name: name, Check: "p99(x) < 1s", Result: result, Severity: "critical", Limit: 1, Unit: "s"}
	}
	warning := func(c Criterion) Criterion {
		c.Severity = "warning"
		return c
	}
	tests := []struct {
		name                      string
		verdict                   string
		criteria                  []Criterion
		failures, errors, skipped int
	}{
		{"pass", Pass, []Criterion{criterion("a", Pass)}, 0, 0, 0},
		{"fail", Fail, []Criterion{criterion("a", Fail), criterion("b", Pass)}, 1, 0, 0},
		{"the same name twice", Fail, []Criterion{criterion("a", Fail), criterion("a", Fail)}, 2, 0, 0},
		{"skipped", Pass, []Criterion{criterion("a", Skipped)}, 0, 0, 1},
		{"invalid criterion", Invalid, []Criterion{criterion("a", Invalid)}, 0, 2, 0},
		{"invalid run without criteria", Invalid, nil, 0, 1, 0},
		{"aborted run of which the criteria held", Aborted, []Criterion{criterion("a", Pass)}, 0, 1, 0},
		{"a warning does not decide", Pass, []Criterion{warning(criterion("a", Fail)), warning(criterion("b", Invalid)), warning(criterion("c", Pass))}, 0, 0, 0},
		{"a warning that is skipped", Pass, []Criterion{warning(criterion("a", Skipped))}, 0, 0, 1},
		{"a severity that is not known decides", Fail, []Criterion{{Name: "a", Result: Fail, Severity: "grave"}}, 1, 0, 0},
		{"a result of a later version", Pass, []Criterion{criterion("a", "REGRESSION")}, 0, 1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := empty(t)
			d.Verdict.Result, d.Criteria = tt.verdict, tt.criteria
			s := parseJUnit(t, render(t, WriteJUnit, d)).Suites[0]
			if s.Tests != len(tt.criteria)+1 || s.Failures != tt.failures || s.Errors != tt.errors || s.Skipped != tt.skipped {
				t.Errorf("suite = %+v", s)
			}
			for i, c := range tt.criteria {
				told := strings.HasPrefix(s.Cases[i+1].Out, "warning, "+c.Result+": "+c.Check)
				if want := c.Severity == "warning" && c.Result != Pass && c.Result != Skipped; told != want {
					t.Errorf("output of %s %s: %q", c.Severity, c.Result, s.Cases[i+1].Out)
				}
			}
		})
	}
}

// TestMarkdownFits proves that the text fits into a comment however large the run was.
func TestMarkdownFits(t *testing.T) {
	d := newSample(t).build(t)
	d.Criteria, d.Events = slices.Repeat(d.Criteria, 80), slices.Repeat(d.Events, 40)
	d.Series, d.Violations = slices.Repeat(d.Series, 40), slices.Repeat(d.Violations, 200)
	for i := range d.Criteria {
		d.Criteria[i].Check = strings.Repeat("check ", 1000)
	}
	d.Run.Name = strings.Repeat("x", 10_000)
	if n := len(render(t, WriteMarkdown, d)); n > 65_536 {
		t.Errorf("the text has %d bytes, a comment may have 65536", n)
	}
}
