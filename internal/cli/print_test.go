package cli

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"text/tabwriter"
)

// TestTablesAreNotSteered shows that what a scenario, a worker or an error says can neither steer the
// terminal nor make a row of its own.
func TestTablesAreNotSteered(t *testing.T) {
	const evil = "evil\n\x1b[31m\tname\u202e"
	labels := map[string]string{"a": evil}
	var out bytes.Buffer
	a := &app{stdout: &out}
	for _, show := range []func(*tabwriter.Writer){
		runView{ID: "R", Name: evil, Environment: evil, Reason: evil, Labels: labels, Reasons: []string{evil}, Workers: []string{evil}}.table,
		statusView{Leader: leaderView{Name: evil, Epoch: 1}, Members: []memberView{{Name: evil}}, Active: []runView{{Name: evil}}, Problems: []string{evil}}.table,
		func(w *tabwriter.Writer) { row(w, "R", evil, 1) },
	} {
		if err := a.print("table", nil, show); err != nil {
			t.Fatal(err)
		}
	}
	finish(errors.New("run "+evil), &out)
	for line := range strings.Lines(out.String()) {
		if line = strings.TrimSuffix(line, "\n"); strings.ContainsAny(line, "\x1b\u202e\t") || strings.HasPrefix(line, "[31m") {
			t.Errorf("a line steers the terminal, or is none of the table: %q", line)
		}
	}
	if n := strings.Count(out.String(), "evil"); n != 12 {
		t.Errorf("the text stands there %d times, want 12:\n%s", n, out.String())
	}
}
