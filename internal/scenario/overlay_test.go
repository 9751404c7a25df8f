package scenario

import (
	"strings"
	"testing"
	"time"
)

// layered has an environment for each thing that one may change.
const layered = `version: 1
name: layered
params: {peak: 100/s, label: one}
target: http://127.0.0.1:8080
labels: {team: shop, stage: none}
limits: {rate: 1000/s}
workers: {min: 1}
flows:
  f:
    - step: a
      http: {method: GET, path: '/${params.label}'}
phases:
  - name: first
    flow: f
    max_in_flight: 50
    rate: [{hold: {at: '${params.peak}', for: 10s}}]
  - name: second
    with: first
    flow: f
    users: [{ramp: {from: 0, to: 25, for: 5s}}]
criteria:
  - name: fast
    check: p99(response_time) < 1s
  - name: right
    check: error_ratio(requests) < 1%
environments:
  tenth: {load: 10%}
  elsewhere:
    target: https://shop.example:8443/base/
    allow_targets: ['*.example']
    labels: {stage: elsewhere}
  many:
    targets: {default: 'http://127.0.0.1:1'}
  strict:
    limits: {rate: 50/s}
  list:
    params: {label: two}
    phases:
      - name: second
        users: [{hold: {at: 3, for: 1s}}]
      - name: third
        after: first
        flow: f
        rate: [{hold: {at: 1/s, for: 1s}}]
    criteria:
      - name: fast
        check: p99(response_time) < 2s
    workers: {min: 3, match: {zone: eu}}
  careful: {confirm: true}
  wrong: {phases: 7}
`

func load(t *testing.T, text string, opts Options) *Plan {
	t.Helper()
	plan, err := Load(files(text), "s.yaml", opts)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func TestEnvironmentScalesTheLoad(t *testing.T) {
	p := load(t, layered, Options{Environment: "tenth"})
	if got := p.Phases[0].Rate[0].From; got != 10 {
		t.Errorf("rate = %v/s, want 10/s", got)
	}
	if got := p.Phases[0].MaxInFlight; got != 5 {
		t.Errorf("max_in_flight = %d, want 5", got)
	}
	if got := p.Phases[1].Users[0].To; got != 3 { // 2.5, rounded half away from zero
		t.Errorf("users = %v, want 3", got)
	}
	if p.Environment != "tenth" {
		t.Errorf("environment = %q", p.Environment)
	}
}

func TestEnvironmentReplacesTargetsAndMergesLabels(t *testing.T) {
	p := load(t, layered, Options{Environment: "elsewhere"})
	if got, want := p.Targets[DefaultTarget].URL, "https://shop.example:8443/base"; got != want {
		t.Errorf("target = %s, want %s", got, want)
	}
	if p.Labels["team"] != "shop" || p.Labels["stage"] != "elsewhere" {
		t.Errorf("labels = %v", p.Labels)
	}
	if got := load(t, layered, Options{Environment: "many"}).Targets[DefaultTarget].URL; got != "http://127.0.0.1:1" {
		t.Errorf("targets of the environment do not replace target: %s", got)
	}
}

func TestEnvironmentMergesListsByName(t *testing.T) {
	p := load(t, layered, Options{Environment: "list"})
	var names []string
	for _, ph := range p.Phases {
		names = append(names, ph.Name)
	}
	if got := strings.Join(names, " "); got != "first second third" {
		t.Errorf("phases = %s", got)
	}
	if second := p.Phases[1]; second.With != "first" || second.Users[0].Kind != "hold" || second.Length != time.Second {
		t.Errorf("second = %+v: the patch replaces users and keeps the rest", second)
	}
	if len(p.Criteria) != 2 || p.Criteria[0].Check.Limit != 2 {
		t.Errorf("criteria = %+v", p.Criteria)
	}
	if got := p.Flows["f"].Steps[0].HTTP.Path; got != "/two" {
		t.Errorf("path = %s, want the environment's param", got)
	}
	if p.Workers.Min != 3 || p.Workers.Match["zone"] != "eu" {
		t.Errorf("workers = %+v", p.Workers)
	}
}

// TestSetIsStrongest proves the order file < environment < --set.
func TestSetIsStrongest(t *testing.T) {
	p := load(t, layered, Options{Environment: "list", Set: []string{"label=three", "peak=30/m"}})
	if got := p.Flows["f"].Steps[0].HTTP.Path; got != "/three" {
		t.Errorf("path = %s, want what --set says", got)
	}
	if got := p.Phases[0].Rate[0].From; got != 0.5 {
		t.Errorf("rate = %v/s, want 0.5/s", got)
	}
}

func TestEnvironmentProblems(t *testing.T) {
	tests := []struct {
		name string
		opts Options
		want string
	}{
		{"not there", Options{Environment: "tents"}, `s.yaml: there is no environment "tents"; did you mean "tenth"?`},
		{"limit", Options{Environment: "strict"}, "above the limit of 50/s"},
		{"kind", Options{Environment: "wrong"}, "where a list was expected"},
		{"set without a value", Options{Set: []string{"peak"}}, `--set "peak": write name=value`},
		{"set of nothing", Options{Set: []string{"peek=1"}}, `--set peek: the scenario has no such param; did you mean "peak"?`},
		{"set to nonsense", Options{Set: []string{"peak=fast"}}, `"fast" is not a rate`},
		{"set to a bare number", Options{Set: []string{"peak=5"}}, "rate 5 has no unit"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			problems := problemsOf(t, layered, tt.opts)
			if len(problems) != 1 || !strings.Contains(problems.Error(), tt.want) {
				t.Errorf("problems are\n%s\nwant one with %s", problems, tt.want)
			}
		})
	}
}

// TestValidateTakesEachEnvironment proves that a problem is told once, however many environments
// have it, and that a problem of one environment is found without naming it.
func TestValidateTakesEachEnvironment(t *testing.T) {
	text := strings.Replace(layered, "< 1%", "< 1", 1)
	err := Validate(files(text), "s.yaml", Options{})
	if err == nil {
		t.Fatal("no problems")
	}
	for _, once := range []string{"s.yaml:25:", "above the limit of 50/s (environment strict)", "where a list was expected (environment wrong)"} {
		if strings.Count(err.Error(), once) != 1 {
			t.Errorf("problems are\n%s\nwant %q once", err, once)
		}
	}
}

// TestEnvironmentTakesKeysOut proves that null removes a key, so that one model of load can replace
// the other.
func TestEnvironmentTakesKeysOut(t *testing.T) {
	text := layered + `  closed:
    labels: {team: null}
    phases:
      - name: first
        rate: null
        max_in_flight: null
        users: [{hold: {at: 2, for: 1s}}]
`
	p := load(t, text, Options{Environment: "closed"})
	if p.Phases[0].Rate != nil || len(p.Phases[0].Users) != 1 {
		t.Errorf("first = %+v, want users and no rate", p.Phases[0])
	}
	if _, ok := p.Labels["team"]; ok {
		t.Errorf("labels = %v, want no team", p.Labels)
	}
	if load(t, text, Options{}).Phases[0].Rate == nil {
		t.Error("the file has lost what only an environment takes out")
	}
}

func TestConfirmNeedsItsEnvironment(t *testing.T) {
	if !load(t, layered, Options{Environment: "careful"}).Confirm {
		t.Error("confirm is lost")
	}
	if load(t, layered, Options{}).Confirm {
		t.Error("confirm of an environment holds without it")
	}
}

// TestAllowedTargets proves that load goes only where it is said to.
func TestAllowedTargets(t *testing.T) {
	tests := []struct {
		target, allow string
		want          bool
	}{
		{"http://127.0.0.1:1", "", true},
		{"http://127.8.8.8", "", true},
		{"http://localhost", "", true},
		{"http://[::1]:80", "", true},
		{"http://127.evil.example", "", false},
		{"http://10.0.0.1", "", false},
		{"http://localhost.example", "", false},
		{"http://a.staging.example", "'*.staging.example'", true},
		{"http://A.Staging.Example", "'*.staging.example'", true},
		{"http://staging.example", "'*.staging.example'", false},
		{"http://notstaging.example", "'*.staging.example'", false},
		{"http://127.0.0.1", "shop.example", false},
		{"http://[::1]", "'[::1]'", true},
		{"http://[::1]", "'::1'", true},
		{"http://anything.example", "'*'", true},
		{"http://shop.example.", "shop.example", true},
	}
	for _, tt := range tests {
		allow := ""
		if tt.allow != "" {
			allow = "allow_targets: [" + tt.allow + "]\n"
		}
		problems := problemsOf(t, strings.Replace(sound, "target: http://127.0.0.1:8080\n", "target: '"+tt.target+"'\n"+allow, 1), Options{})
		if got := problems == nil; got != tt.want {
			t.Errorf("target %s with allow_targets [%s] allowed = %v, want %v (%v)", tt.target, tt.allow, got, tt.want, problems)
		}
	}
	if problems := problemsOf(t, strings.Replace(sound, "name: sound", "name: sound\nallow_targets: []", 1), Options{}); problems == nil {
		t.Error("an empty list allows a target")
	}
}

// TestSeed proves where the seed comes from, and that there always is the same one.
func TestSeed(t *testing.T) {
	seed := uint64(9)
	with := strings.Replace(layered, "name: layered", "name: layered\nseed: 42", 1)
	if got := load(t, with, Options{Seed: &seed}).Seed; got != 9 {
		t.Errorf("seed = %d, want that of the options", got)
	}
	if got := load(t, with, Options{}).Seed; got != 42 {
		t.Errorf("seed = %d, want the file's", got)
	}
	if a, b := load(t, layered, Options{}).Seed, load(t, layered, Options{}).Seed; a != b || a == 0 {
		t.Errorf("seeds of one file are %d and %d", a, b)
	}
}
