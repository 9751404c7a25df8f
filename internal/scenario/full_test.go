package scenario

import (
	"errors"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// fullFiles returns the language's full example with the files that it names.
func fullFiles(t testing.TB) fstest.MapFS {
	t.Helper()
	data, err := os.ReadFile("testdata/language.yaml")
	if err != nil {
		t.Fatal(err)
	}
	rows := "name,password\n" + strings.Repeat("anna,x\n", 1000000)
	return fstest.MapFS{
		"full.yaml": {Data: data}, "accounts.csv": {Data: []byte(rows)}, "arrivals.csv": {Data: []byte("at_s\n1\n")},
	}
}

func getenv(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

// TestFullExampleIsRefusedOnlyForWhatIsNotBuilt proves that the example which shows the whole language
// is understood, in every environment: each problem names a feature that is not supported yet, once,
// and no problem follows from another.
func TestFullExampleIsRefusedOnlyForWhatIsNotBuilt(t *testing.T) {
	err := Validate(fullFiles(t), "full.yaml", Options{Getenv: getenv("CI_SHA", "abc")})
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatalf("Validate() = %v, want problems", err)
	}
	named := map[string]bool{}
	seen := map[string]bool{}
	for _, p := range problems {
		feature, ok := strings.CutSuffix(strings.TrimSuffix(p.Message, " (environment production)"), " is not supported yet")
		if !ok || p.Line == 0 {
			t.Errorf("%s: not a place with a feature that is not supported", p)
		}
		if seen[p.String()] {
			t.Errorf("%s: said twice", p)
		}
		seen[p.String()], named[feature] = true, true
	}
	for _, want := range []string{
		"fault_policy", "canary", "window", "proxies", "faults",
		"recovery", "except", "during: fault:slow-db", "recovery_time", "baseline", "on_missing", "sources", "notify",
	} {
		if !named[want] {
			t.Errorf("%s is not refused by name", want)
		}
		delete(named, want)
	}
	for extra := range named {
		t.Errorf("%s is refused; it is not on the list of what is not built", extra)
	}
}
