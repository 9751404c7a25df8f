package scenario

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestNeeds proves that exactly what a scenario reads comes along with it: a file that a param names,
// but no file or variable that is only mentioned.
func TestNeeds(t *testing.T) {
	text := strings.NewReplacer(
		"users: 5", "users: 5\n  file: accounts.csv",
		"{csv: accounts.csv}", "{csv: '${params.file}'}",
		"name: sound", "name: sound\ndescription: not env.HOME\nlabels: {build: '${env.CI_SHA}', other: '${env.UNSET ?? \"none\"}'}",
		"expect: [status == 200]", "expect: ['string(status) == env.CODE']",
		"json: {user:", "json: {csv: bom.csv, user:",
	).Replace(sound)
	getenv := getenv("HOME", "/root", "CI_SHA", "abc", "CODE", "200")
	needed, err := Needs(files(text), "s.yaml", Options{Getenv: getenv})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(needed.Files, []string{"accounts.csv"}) {
		t.Errorf("files = %v, want accounts.csv", needed.Files)
	}
	if want := map[string]string{"CI_SHA": "abc", "CODE": "200"}; !maps.Equal(needed.Env, want) {
		t.Errorf("env = %v, want %v", needed.Env, want)
	}
	if p := problemsOf(t, text, Options{Getenv: getenv}); p != nil {
		t.Errorf("the scenario that was to be read has problems:\n%s", p)
	}
	if _, err := Needs(files("- 1\n-"), "no.yaml", Options{}); err == nil {
		t.Error("a scenario that is not there needs nothing")
	}
}
