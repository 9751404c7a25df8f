// Package docs_test keeps the documentation true where a machine can tell: snippets are accepted or
// refused as they say, links lead somewhere, tests that are named exist, and no field and no code of
// the report is left out.
package docs_test

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"proofload/internal/result/report"
	"proofload/internal/scenario"
)

// base is a whole scenario; a snippet replaces those of its top-level keys that it has itself.
const base = `version: 1
name: snippet
target: http://127.0.0.1:8080
flows:
  buy:
    - step: order
      http: {method: POST, path: /orders}
  browse:
    - step: list
      http: {method: GET, path: /items}
phases:
  - name: steady
    flow: buy
    rate:
      - hold: {at: 5/s, for: 10s}
`

var (
	fence  = regexp.MustCompile("(?ms)^```yaml( refused)?\n(.*?)^```$")
	topKey = regexp.MustCompile(`(?m)^([a-z_]+):`)
)

// sections cuts a scenario at its top-level keys.
func sections(t *testing.T, text string) map[string]string {
	t.Helper()
	out := map[string]string{}
	marks := topKey.FindAllStringSubmatchIndex(text, -1)
	if len(marks) == 0 || marks[0][0] != 0 {
		t.Fatalf("a snippet must begin with a top-level key:\n%s", text)
	}
	for i, m := range marks {
		end := len(text)
		if i+1 < len(marks) {
			end = marks[i+1][0]
		}
		out[text[m[2]:m[3]]] = text[m[0]:end]
	}
	return out
}

// whole lays a snippet over base.
func whole(t *testing.T, snippet string) string {
	t.Helper()
	all := sections(t, base)
	own := sections(t, snippet)
	if _, ok := own["targets"]; ok {
		delete(all, "target")
	}
	maps.Copy(all, own)
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(all)) {
		b.WriteString(all[key])
	}
	return b.String()
}

// Every snippet of the scenario reference is accepted, in each environment that it has, or refused as
// not supported where it is marked so.
func TestScenarioSnippets(t *testing.T) {
	snippets := fence.FindAllStringSubmatch(read(t, "scenario.md"), -1)
	accepted, refused := 0, 0
	for _, s := range snippets {
		text := whole(t, s[2])
		fsys := fstest.MapFS{
			"s.yaml":       {Data: []byte(text)},
			"accounts.csv": {Data: []byte("name\nalice\nbob\n")},
			"people.jsonl": {Data: []byte(`{"name": "ann", "age": 7}`)},
			"letter.txt":   {Data: []byte("Dear ${data.people.name}")},
			"photo.jpg":    {Data: []byte("\xff\xd8")},
		}
		environments, err := scenario.Environments(fsys, "s.yaml")
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		for _, environment := range append([]string{""}, environments...) {
			_, err := scenario.Load(fsys, "s.yaml", scenario.Options{Environment: environment})
			switch {
			case s[1] == "" && err != nil:
				t.Errorf("environment %q: %v in\n%s", environment, err, text)
			case s[1] != "" && !notSupported(err):
				t.Errorf("not refused as not supported, but: %v in\n%s", err, text)
			}
		}
		if s[1] == "" {
			accepted++
		} else {
			refused++
		}
	}
	if accepted < 8 || refused < 1 {
		t.Errorf("%d snippets to accept and %d to refuse were found: the page has more", accepted, refused)
	}
}

func notSupported(err error) bool {
	var problems scenario.Problems
	return errors.As(err, &problems) && slices.ContainsFunc(problems, func(p scenario.Problem) bool {
		return strings.Contains(p.Message, "not supported yet")
	})
}

// The words that the reference lists as refused are refused by name.
func TestRefusedWords(t *testing.T) {
	places := map[string]string{
		"top level": "WORD: {}\n",
	}
	for place, snippet := range places {
		_, row, found := strings.Cut(read(t, "scenario.md"), "| "+place+" | ")
		row, _, _ = strings.Cut(row, "\n")
		words := regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row, -1)
		if !found || len(words) == 0 {
			t.Fatalf("no row for %s", place)
		}
		for _, w := range words {
			text := whole(t, strings.ReplaceAll(snippet, "WORD", w[1]))
			_, err := scenario.Load(fstest.MapFS{"s.yaml": {Data: []byte(text)}}, "s.yaml", scenario.Options{})
			if !notSupported(err) || !strings.Contains(err.Error(), w[1]+" is not supported yet") {
				t.Errorf("%s at %s: %v", w[1], place, err)
			}
		}
	}
}

// Relative links of the documentation lead to files of the repository.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`)
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: link to %s: %v", page, m[1], err)
			}
		}
	}
}

// A test that the documentation calls as a witness exists.
func TestNamedTestsExist(t *testing.T) {
	defined := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	for _, path := range sources(t) {
		if !strings.HasSuffix(path, "_test.go") {
			continue
		}
		for _, m := range function.FindAllStringSubmatch(read(t, path), -1) {
			defined[m[1]] = true
		}
	}
	named := regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w*)`")
	count := 0
	for _, page := range pages(t) {
		for _, m := range named.FindAllStringSubmatch(read(t, page), -1) {
			count++
			if !defined[m[1]] {
				t.Errorf("%s names %s, which does not exist", page, m[1])
			}
		}
	}
	if count == 0 {
		t.Error("no test is named anywhere")
	}
}

// The reference of report.json names every field that the report has.
func TestReportFieldsAreDocumented(t *testing.T) {
	page := read(t, "results.md")
	word := regexp.MustCompile(`[a-z0-9_]+`)
	known := map[string]bool{}
	for _, w := range word.FindAllString(page, -1) {
		known[w] = true
	}
	seen := map[reflect.Type]bool{}
	var visit func(reflect.Type)
	visit = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ] || typ.PkgPath() == "time" {
			return
		}
		seen[typ] = true
		for field := range typ.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name != "" && name != "-" && !known[name] {
				t.Errorf("results.md does not name %s of %s", name, typ)
			}
			visit(field.Type)
		}
	}
	visit(reflect.TypeFor[report.Document]())
	if len(seen) < 10 {
		t.Errorf("only %d types were visited", len(seen))
	}
}

// The reference lists the codes of reasons that the code has, and no others; and no reason is given under
// a code that is not among them.
func TestReasonCodesAreDocumented(t *testing.T) {
	_, list, found := strings.Cut(read(t, "results.md"), "Codes of `verdict.reasons`:")
	list, _, _ = strings.Cut(list, "\n\n")
	if !found {
		t.Fatal("results.md has no list of codes")
	}
	var listed, known []string
	for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(list, -1) {
		listed = append(listed, m[1])
	}
	constant := regexp.MustCompile(`(?m)^\tCode\w+ += "([a-z_]+)"`)
	for _, m := range constant.FindAllStringSubmatch(read(t, "../internal/run/reason.go"), -1) {
		known = append(known, m[1])
	}
	slices.Sort(listed)
	slices.Sort(known)
	if len(known) < 10 || !slices.Equal(listed, known) {
		t.Errorf("results.md lists %q, the code has %q", listed, known)
	}
	literal := regexp.MustCompile(`run\.Reason\{\{?\s*(Code:\s*)?"`)
	for _, path := range sources(t) {
		if !strings.HasSuffix(path, "_test.go") && literal.MatchString(read(t, path)) {
			t.Errorf("%s gives a reason under a code that is no constant of package run", path)
		}
	}
}

// sources lists the files in Go.
func sources(t *testing.T) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != "..":
			return fs.SkipDir
		case strings.HasSuffix(path, ".go"):
			out = append(out, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// pages lists the documentation.
func pages(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, pattern := range []string{"*.md", "design/*.md", "../*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, found...)
	}
	if len(out) < 8 {
		t.Fatalf("only %d pages found: %v", len(out), out)
	}
	return out
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
