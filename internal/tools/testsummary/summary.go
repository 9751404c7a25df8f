package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// event is one line of `go test -json`; see `go doc test2json`.
type event struct {
	Action     string
	Package    string
	ImportPath string // of build output
	Test       string
	Output     string
	Elapsed    float64
}

// skip is a test that did not run, with what it said.
type skip struct{ pkg, test, reason string }

// summary folds events. Output is kept per test and dropped when the test passes, so that what is
// printed for a failed package is what its failed tests said.
type summary struct {
	w      io.Writer
	output map[string]map[string][]string // package, test
	failed map[string][]string            // package, tests
	builds map[string][]string            // import path, compiler output
	skips  []skip
	counts map[string]int // package, tests passed
	ok     bool
	tests  int
}

func newSummary(w io.Writer) *summary {
	return &summary{
		w: w, ok: true,
		output: map[string]map[string][]string{}, failed: map[string][]string{},
		builds: map[string][]string{}, counts: map[string]int{},
	}
}

// read folds a stream of events. A line that is not an event is passed on: it is what go itself said.
func (s *summary) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil || e.Action == "" {
				fmt.Fprint(s.w, line)
			} else {
				s.add(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read test events: %w", err)
		}
	}
}

func (s *summary) add(e event) {
	switch e.Action {
	case "build-output":
		s.builds[e.ImportPath] = append(s.builds[e.ImportPath], e.Output)
	case "build-fail":
		s.ok = false
		fmt.Fprint(s.w, strings.Join(s.builds[e.ImportPath], ""))
	case "output":
		if s.output[e.Package] == nil {
			s.output[e.Package] = map[string][]string{}
		}
		s.output[e.Package][e.Test] = append(s.output[e.Package][e.Test], e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.endPackage(e)
		} else {
			s.endTest(e)
		}
	}
}

func (s *summary) endTest(e event) {
	s.tests++
	switch e.Action {
	case "pass":
		s.counts[e.Package]++
		delete(s.output[e.Package], e.Test)
	case "skip":
		s.skips = append(s.skips, skip{e.Package, e.Test, reason(s.output[e.Package][e.Test])})
		delete(s.output[e.Package], e.Test)
	case "fail":
		s.failed[e.Package] = append(s.failed[e.Package], e.Test)
	}
}

func (s *summary) endPackage(e event) {
	defer func() { delete(s.output, e.Package) }()
	switch e.Action {
	case "pass":
		fmt.Fprintf(s.w, "ok  \t%s\t%.3fs\t%d tests\n", e.Package, e.Elapsed, s.counts[e.Package])
	case "fail":
		s.ok = false
		for _, test := range s.failed[e.Package] {
			fmt.Fprint(s.w, strings.Join(s.output[e.Package][test], ""))
		}
		// A test that never ended (panic, timeout, os.Exit) has output and no result.
		for test, lines := range s.output[e.Package] {
			if test != "" && !slices.Contains(s.failed[e.Package], test) {
				fmt.Fprint(s.w, strings.Join(lines, ""))
			}
		}
		for _, line := range s.output[e.Package][""] {
			if !strings.HasPrefix(line, "FAIL") { // go's own line, which the next one replaces
				fmt.Fprint(s.w, line)
			}
		}
		fmt.Fprintf(s.w, "FAIL\t%s\t%.3fs\n", e.Package, e.Elapsed)
	}
}

// finish writes the list of skipped tests and the total, and reports whether all passed.
func (s *summary) finish() bool {
	if s.tests == 0 {
		fmt.Fprintln(s.w, "FAIL: no test ran")
		return false
	}
	verdict := "ok"
	if !s.ok {
		verdict = "FAIL"
	}
	fmt.Fprintf(s.w, "%s: %d tests, %d skipped\n", verdict, s.tests, len(s.skips))
	if len(s.skips) > 0 {
		slices.SortFunc(s.skips, func(a, b skip) int {
			return cmp.Or(cmp.Compare(a.pkg, b.pkg), cmp.Compare(a.test, b.test))
		})
		fmt.Fprintln(s.w, "SKIPPED tests, and why:")
		for _, k := range s.skips {
			fmt.Fprintf(s.w, "  %s %s: %s\n", k.pkg, k.test, k.reason)
		}
	}
	return s.ok
}

// place is the file and line in front of what a test logs.
var place = regexp.MustCompile(`^\s*[\w.-]+\.go:\d+: `)

// scriptSkip is the line of a testscript that skips it; the script's log ends with that line and
// begins with its environment.
var scriptSkip = regexp.MustCompile(`^\s*> (?:\[[^]]*\] )*skip '(.*)'\s*$`)

// reason is the last thing that a test logged before it skipped.
func reason(lines []string) string {
	for _, line := range slices.Backward(lines) {
		if m := scriptSkip.FindStringSubmatch(line); m != nil {
			return m[1]
		}
		if at := place.FindString(line); at != "" {
			return strings.TrimSpace(line[len(at):])
		}
	}
	return "no reason given"
}
