package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"

	"proofload/internal/judge"
	"proofload/internal/scenario/quantity"
	"proofload/internal/search"
)

// WriteJUnit renders d for pipelines that read JUnit XML: one test case for each row of the
// criteria, and one for the run itself, so that a run that could not be judged, or was stopped, is
// an error whatever its criteria say. Only what decides the verdict fails a case: of a warning that does
// not hold the output tells.
func WriteJUnit(w io.Writer, d *Document) error {
	suite := junitSuite{
		Name: d.Run.Name, Time: junitTime(d.Run.WallS), Timestamp: d.Run.StartedAt.UTC().Format("2006-01-02T15:04:05"),
		Properties: junitProperties(d), Cases: []junitCase{runCase(d)},
	}
	if d.Search != nil {
		suite.Cases = append(suite.Cases, searchCase(d))
	}
	names := map[string]int{}
	for _, c := range d.Criteria {
		suite.Cases = append(suite.Cases, criterionCase(d, c, names))
	}
	for _, c := range suite.Cases {
		suite.Tests++
		suite.Failures += set(c.Failure != nil)
		suite.Errors += set(c.Error != nil)
		suite.Skipped += set(c.Skipped != nil)
	}
	suites := junitSuites{
		Name: "proofload", Tests: suite.Tests, Failures: suite.Failures, Errors: suite.Errors, Skipped: suite.Skipped,
		Time: suite.Time, Suites: []junitSuite{suite},
	}
	if err := writeXML(w, suites); err != nil {
		return fmt.Errorf("write report %s as JUnit XML: %w", d.Run.ID, err)
	}
	return nil
}

func writeXML(w io.Writer, suites junitSuites) error {
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(suites); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Time       string          `xml:"time,attr"`
	Timestamp  string          `xml:"timestamp,attr"`
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitProblem `xml:"failure"`
	Error   *junitProblem `xml:"error"`
	Skipped *junitSkip    `xml:"skipped"`
	Out     string        `xml:"system-out,omitempty"`
}

type junitProblem struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

type junitSkip struct {
	Message string `xml:"message,attr"`
}

func junitProperties(d *Document) []junitProperty {
	facts := runFacts(d)
	properties := make([]junitProperty, 0, len(facts)+1)
	properties = append(properties, junitProperty{"Verdict", d.Verdict.Result})
	for _, f := range facts {
		properties = append(properties, junitProperty{f[0], f[1]})
	}
	return properties
}

// runCase stands for the run as a whole.
func runCase(d *Document) junitCase {
	c := junitCase{Class: "proofload." + d.Run.Name, Name: "the run is complete and can be judged", Time: junitTime(d.Run.ElapsedS)}
	if r := d.Verdict.Result; r != Pass && r != Fail {
		lines := []string{headline(d)}
		for _, reason := range d.Verdict.Reasons {
			lines = append(lines, reason.Code+": "+reason.Message)
		}
		c.Error = &junitProblem{Message: headline(d), Type: r, Text: strings.Join(lines, "\n")}
	}
	return c
}

// searchCase stands for the search: it fails when the target does not bear its lowest rate, and is an error when it
// found nothing.
func searchCase(d *Document) junitCase {
	c := junitCase{Class: "proofload." + d.Run.Name, Name: "the capacity of phase " + d.Search.Phase + " is found", Time: junitTime(d.Run.ElapsedS)}
	lines := []string{d.Search.Message}
	for _, p := range d.Search.Probes {
		lines = append(lines, strings.TrimSuffix(fmt.Sprintf("probe %d at %s %s: %s", p.Number, judge.FormatRate(p.RatePerS), p.Outcome, p.Reason), ": "))
	}
	text := strings.Join(lines, "\n")
	switch kind := search.Kind(d.Search.Result); {
	case kind == search.TooLow:
		c.Failure = &junitProblem{Message: d.Search.Message, Type: "critical", Text: text}
	case kind.Valid():
		c.Out = text
	default:
		c.Error = &junitProblem{Message: d.Search.Message, Type: Invalid, Text: text}
	}
	return c
}

// criterionCase stands for one row of the criteria; names counts those in use, because parsers
// merge cases of the same name.
func criterionCase(d *Document, c Criterion, names map[string]int) junitCase {
	name := rowName(c.Name, c.Labels)
	if names[name]++; names[name] > 1 {
		name += " #" + strconv.Itoa(names[name])
	}
	out := junitCase{Class: "proofload." + d.Run.Name, Name: name, Time: junitTime(d.Run.ElapsedS)}
	message := fmt.Sprintf("%s: observed %s, limit %s", c.Check, optional(c.Observed, c.Unit), limit(c))
	if c.Reason != "" {
		message += ": " + c.Reason
	}
	switch {
	case c.Result == Pass:
	case c.Result == Skipped:
		out.Skipped = &junitSkip{Message: message}
	case advisory(c.Severity):
		out.Out = c.Severity + ", " + c.Result + ": " + violationText(d, c, message)
	case c.Result == Fail:
		out.Failure = &junitProblem{Message: message, Type: c.Severity, Text: violationText(d, c, message)}
	default:
		out.Error = &junitProblem{Message: message, Type: c.Result, Text: message}
	}
	return out
}

// advisory tells whether a criterion has no part in the verdict: then it fails no pipeline either.
func advisory(severity string) bool { return severity == "warning" || severity == "info" }

// violationText lists the violations of a criterion.
func violationText(d *Document, c Criterion, message string) string {
	lines := []string{message}
	for _, v := range d.Violations {
		for _, id := range c.Violations {
			if id == v.ID {
				lines = append(lines, fmt.Sprintf("from %s to %s: worst %s (%s failed of %s)",
					instant(v.FromS), instant(v.ToS), worst(v), quantity.Integer(v.Impact.Failed), plural(v.Impact.Requests, "request")))
			}
		}
	}
	return strings.Join(lines, "\n")
}

func junitTime(s float64) string { return strconv.FormatFloat(s, 'f', 3, 64) }

func set(b bool) int {
	if b {
		return 1
	}
	return 0
}
