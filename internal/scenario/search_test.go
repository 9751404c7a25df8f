package scenario

import (
	"strings"
	"testing"
	"time"
)

// hunted is a sound scenario with a search of its steady phase.
const hunted = sound + `search:
  phase: steady
  between: [100/s, 1600/s]
  probe: {measure: 10s}
`

// TestSearchIsPlanned: the searched phase is as high as the search may go, and as long as it may take; the plan says how
// long it usually takes.
func TestSearchIsPlanned(t *testing.T) {
	load := func(text string) *Plan {
		t.Helper()
		plan, err := Load(files(text), "s.yaml", Options{})
		if err != nil {
			t.Fatal(err)
		}
		return plan
	}
	plan := load(hunted)
	s, p := plan.Search, plan.Phases[0]
	if s.Phase != "steady" || s.Low != 100 || s.High != 1600 || s.Warm != 5*time.Second || s.Measure != 10*time.Second || s.Precision != 0.02 || s.Confirm != 3 {
		t.Errorf("search %+v", s)
	}
	if !p.Searched || len(p.Rate) != 1 || p.Rate[0].From != 1600 || p.Rate[0].For != p.Length || p.Length < time.Duration(s.Config().Most())*(s.Load()+30*time.Second) {
		t.Errorf("phase %+v", p)
	}
	if plan.Planned() != s.Usual() || s.Usual() >= p.Length {
		t.Errorf("planned %v, usual %v, at most %v", plan.Planned(), s.Usual(), p.Length)
	}
	if rate, _ := plan.Peak(); rate != 1600 {
		t.Errorf("peak %v", rate)
	}
	var text strings.Builder
	if err := plan.Render(&text, RenderOptions{Workers: 2}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"searched from 100/s to 1600/s", "at most 15 probes", "the result must hold 3 times"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the plan does not say %q:\n%s", want, text.String())
		}
	}
	if s := load("load: 10%\n" + hunted).Search; s.Low != 10 || s.High != 160 {
		t.Errorf("with a tenth of the load: %+v", s)
	}
	capped := load(hunted + "limits: {rate: 1000/s}\n")
	if capped.Search.High != 1000 || capped.Phases[0].Rate[0].From != 1000 {
		t.Errorf("with a limit: %+v", capped.Search)
	}
	beside := load(strings.Replace(hunted, "phases:\n", "phases:\n  - {name: beside, flow: buy, rate: [{hold: {at: 300/s, for: 10s}}]}\n", 1) + "limits: {rate: 1000/s}\n")
	if beside.Search.High != 700 {
		t.Errorf("with a limit of which another phase needs a part: %+v", beside.Search)
	}
	if plan.Phases[1].Searched {
		t.Error("another phase is searched")
	}
}

// TestSearchProblems: a search that could find nothing is refused, with its place.
func TestSearchProblems(t *testing.T) {
	for _, tt := range []struct{ name, old, new, want string }{
		{"another phase", "phase: steady\n  between", "phase: stedy\n  between", `there is no phase "stedy"; did you mean "steady"?`},
		{"users", "phase: steady\n  between", "phase: shoppers\n  between", "phase shoppers has users: a search looks for a rate"},
		{"warm-up", "    rate: [{hold: {at: '${params.peak}', for: 10s}}]", "    record: warmup\n    rate: [{hold: {at: '${params.peak}', for: 10s}}]", "no criterion looks at it"},
		{"downwards", "[100/s, 1600/s]", "[100/s, 50/s]", "a search goes from a rate above 0 to a higher one"},
		{"from nothing", "[100/s, 1600/s]", "[0/s, 50/s]", "a search goes from a rate above 0 to a higher one"},
		{"one rate", "[100/s, 1600/s]", "[100/s]", "two rates were expected"},
		{"a rate without unit", "[100/s, 1600/s]", "[100/s, 1600]", "has no unit"},
		{"parts of seconds", "{measure: 10s}", "{measure: 1500ms}", "whole seconds"},
		{"no measure", "{measure: 10s}", "{warm: 1s}", "measure is missing"},
		{"coarse", "{measure: 10s}", "{measure: 10s}\n  precision: 60%", "precision"},
		{"often", "{measure: 10s}", "{measure: 10s}\n  confirm: 11", "confirm 11 is not between 1 and 10"},
		{"nothing decides", "    during: steady\n", "    severity: warning\n", "a search needs a critical criterion that looks at phase steady"},
		{"elsewhere", "    during: steady\n", "    during: shoppers\n", "a search needs a critical criterion that looks at phase steady"},
		{"a limit below it", "version: 1\n", "version: 1\nlimits: {rate: 90/s}\n", "the limit of 90/s leaves the search no rate above 100/s"},
		{"a limit that the other phases reach", "version: 1\n", "version: 1\nlimits: {users: 2}\n", "5 users, above the limit of 2"},
		{"an unknown key", "{measure: 10s}", "{measure: 10s, col: 1s}", `did you mean "cool"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(hunted, tt.old) {
				t.Fatalf("nothing to change: %q", tt.old)
			}
			problems := problemsOf(t, strings.Replace(hunted, tt.old, tt.new, 1), Options{})
			if len(problems) != 1 || !strings.Contains(problems[0].Message, tt.want) || problems[0].Line == 0 {
				t.Errorf("problems %v, want %q", problems, tt.want)
			}
		})
	}
}
