// Package examples_test keeps the examples and the snippets of the documentation runnable: what a
// reader copies must be accepted by the validator of the same commit.
package examples_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"proofload/internal/scenario"
)

// Every example is valid as it stands and in each of its environments, plans some load, and says what
// must hold.
func TestExamplesPlan(t *testing.T) {
	files, err := filepath.Glob("*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 6 {
		t.Fatalf("only %d examples found: %v", len(files), files)
	}
	fsys := os.DirFS(".")
	for _, file := range files {
		environments, err := scenario.Environments(fsys, file)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		for _, environment := range append([]string{""}, environments...) {
			t.Run(file+"/"+environment, func(t *testing.T) { plans(t, fsys, file, environment) })
		}
	}
}

func plans(t *testing.T, fsys fs.FS, file, environment string) {
	t.Helper()
	plan, err := scenario.Load(fsys, file, scenario.Options{Environment: environment})
	if err != nil {
		t.Fatal(err)
	}
	if rate, users := plan.Peak(); rate == 0 && users == 0 {
		t.Error("no load is planned")
	}
	if len(plan.Criteria) == 0 {
		t.Error("there are no criteria")
	}
	if planned := plan.Planned().Seconds(); planned > 60 {
		t.Errorf("it lasts %g s: a reader should not wait longer than a minute", planned)
	}
	var text strings.Builder
	if err := plan.Render(&text, scenario.RenderOptions{Workers: 2}); err != nil {
		t.Errorf("render the plan: %v", err)
	}
	for _, p := range plan.Phases {
		if !strings.Contains(text.String(), p.Name) {
			t.Errorf("the rendered plan does not name phase %s:\n%s", p.Name, text.String())
		}
	}
}
