package supervisor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"proofload/internal/run"
	"proofload/internal/search"
)

// hunt is a scenario that searches the capacity of its target.
const hunt = `
version: 1
name: hunt
seed: 7
target: http://127.0.0.1:9
flows:
  buy:
    - step: get
      http: {method: GET, path: /}
      timeout: 1s
phases:
  - name: steady
    flow: buy
    rate:
      - hold: {at: 20/s, for: 10s}
search:
  phase: steady
  between: [20/s, 320/s]
  probe: {warm: 2s, measure: 4s}
  precision: 10%
  confirm: 2
criteria:
  - name: fast
    check: p99(response_time) < 100ms
coordinator_loss: {grace: 8s}
`

// hunters starts workers before a target, and a run that searches it.
func hunters(r *rig, n int, k knee) []*robot {
	var out []*robot
	for i := range n {
		w := r.fleet.join(string(rune('a'+i)), int64(10+i))
		w.mu.Lock()
		w.knee = k
		w.mu.Unlock()
		out = append(out, w)
	}
	r.create("r1", 0)
	return out
}

// searched waits until a run has ended, however long that takes, and replays its search.
func searched(r *rig, id string) (run.Run, search.Result) {
	r.t.Helper()
	for range 20 {
		if rec := r.record(id); rec.State.Final() {
			break
		}
		time.Sleep(time.Minute)
	}
	rec := r.until(id, run.Completed, run.Failed)
	s, err := search.Replay(r.plan.Search.Config(), rec.Verdicts())
	if err != nil {
		r.t.Fatal(err)
	}
	return rec, s.Next().Result
}

// wholeLoad checks the books of a search: every arrival of the schedule was sent, once.
func wholeLoad(r *rig, id string) {
	r.t.Helper()
	d := r.report(id)
	if d.Load.Planned == 0 || d.Load.Sent != d.Load.Planned || d.Requests.Sent != d.Load.Sent || d.Integrity.Completeness != 1 {
		r.t.Errorf("load %+v, requests %+v, completeness %v", d.Load, d.Requests, d.Integrity.Completeness)
	}
}

func outcomes(rec run.Run) []string {
	var out []string
	for _, p := range rec.Probes {
		out = append(out, fmt.Sprintf("%g %s", p.Rate, p.Outcome))
	}
	return out
}

// TestSearch: the run tries one rate after another, ends with the interval that the target's capacity lies in, and
// judges itself by the probes at its lower end alone.
func TestSearch(t *testing.T) {
	for _, tt := range []struct {
		name    string
		workers int
		knee    knee
		text    string
		want    search.Result // without Criterion, Reason and Probes
		verdict run.Result
		reason  string
	}{
		{"a target with a capacity", 2, knee{bears: 105}, hunt, search.Result{Kind: search.Found, Low: 100, High: 110}, run.Pass, "the capacity of phase steady is 100 to 110/s; the next step breaks \"fast\""},
		{"one worker", 1, knee{bears: 105}, hunt, search.Result{Kind: search.Found, Low: 100, High: 110}, run.Pass, "100 to 110/s"},
		{"poisson", 2, knee{bears: 105}, strings.Replace(hunt, "    rate:", "    arrivals: poisson\n    rate:", 1), search.Result{Kind: search.Found, Low: 100, High: 110}, run.Pass, "100 to 110/s"},
		{"bears everything", 2, knee{}, hunt, search.Result{Kind: search.AtLeast, Low: 320}, run.Pass, "bears 320/s at least"},
		{"bears nothing", 2, knee{bears: 5}, hunt, search.Result{Kind: search.TooLow, High: 20}, run.Fail, "does not bear 20/s"},
		{"generators with a limit", 2, knee{reach: 105}, hunt, search.Result{Kind: search.GeneratorLimit, Low: 100, High: 110}, run.Invalid, "the generators were the limit at 110/s of phase steady; up to 100/s everything held"},
		{"a limit above the capacity", 2, knee{bears: 50, reach: 105}, hunt, search.Result{Kind: search.Found, Low: 50, High: 55}, run.Pass, "50 to 55/s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, tt.text, func(r *rig) {
				hunters(r, tt.workers, tt.knee)
				rec, got := searched(r, "r1")
				if got.Kind != tt.want.Kind || got.Low != tt.want.Low || got.High != tt.want.High {
					t.Errorf("result %+v, want %+v, of %q", got, tt.want, outcomes(rec))
				}
				if rec.Verdict.Result != tt.verdict || rec.Stop.Kind != run.StopCompleted {
					t.Errorf("verdict %+v, %+v", rec.Verdict, rec.Stop)
				}
				if !slices.ContainsFunc(rec.Verdict.Reasons, func(r run.Reason) bool { return strings.Contains(r.Message, tt.reason) }) {
					t.Errorf("reasons %+v do not say %q", rec.Verdict.Reasons, tt.reason)
				}
				if n := len(rec.Probes); n > r.plan.Search.Config().Most() || len(rec.History.Probes()) != n {
					t.Errorf("%d probes judged, %d begun", n, len(rec.History.Probes()))
				}
				wholeLoad(r, "r1")
			})
		})
	}
}

// TestSearchLoad: the load of a probe is exactly its rate, for as long as it says, and between probes there is
// none.
func TestSearchLoad(t *testing.T) {
	bubble(t, hunt, func(r *rig) {
		hunters(r, 2, knee{bears: 105})
		rec, _ := searched(r, "r1")
		want := 0.0
		for _, c := range rec.History.Probes() {
			want += c.Rate * 6
			if c.At%time.Second != 0 || c.For != 6*time.Second {
				t.Errorf("probe at %v for %v", c.At, c.For)
			}
		}
		if d := r.report("r1"); d.Load.Planned != int64(want) {
			t.Errorf("%d arrivals planned, the probes have %v", d.Load.Planned, want)
		}
	})
}

// TestSearchSurvivesItsLeader: whenever the leader ends, the next one goes on where it was: the same probes with the
// same verdicts, none of them twice, and every arrival counted.
func TestSearchSurvivesItsLeader(t *testing.T) {
	var want []string
	bubble(t, hunt, func(r *rig) {
		hunters(r, 2, knee{bears: 105})
		rec, _ := searched(r, "r1")
		want = outcomes(rec)
	})
	for at := 2 * time.Second; at < 20*time.Second; at += 1300 * time.Millisecond {
		t.Run(at.String(), func(t *testing.T) {
			bubble(t, hunt, func(r *rig) {
				hunters(r, 2, knee{bears: 105})
				r.load("r1", at)
				r.succeed(2, 4*time.Second)
				rec, got := searched(r, "r1")
				if got.Kind != search.Found || got.Low != 100 || got.High != 110 || !slices.Equal(outcomes(rec), want) {
					t.Errorf("result %+v of %q, want those of %q", got, outcomes(rec), want)
				}
				if rec.Verdict.Result != run.Pass {
					t.Errorf("verdict %+v", rec.Verdict)
				}
				wholeLoad(r, "r1")
			})
		})
	}
}

// TestSearchWaitsForEverybody: a probe is not judged before the slowest worker has delivered its part.
func TestSearchWaitsForEverybody(t *testing.T) {
	bubble(t, hunt, func(r *rig) {
		ws := hunters(r, 2, knee{bears: 105})
		ws[1].mu.Lock()
		ws[1].late = 900 * time.Millisecond
		ws[1].mu.Unlock()
		rec, got := searched(r, "r1")
		if got.Kind != search.Found || got.Low != 100 || got.High != 110 {
			t.Errorf("result %+v of %q", got, outcomes(rec))
		}
		if slices.ContainsFunc(rec.Probes, func(p run.Probe) bool { return p.Outcome == search.Disturbed }) {
			t.Errorf("probes %q", outcomes(rec))
		}
	})
}

// TestSearchPaused: a probe that was paused proves nothing and is repeated.
func TestSearchPaused(t *testing.T) {
	bubble(t, hunt, func(r *rig) {
		hunters(r, 2, knee{bears: 105})
		r.load("r1", 4*time.Second)
		r.must("r1", run.Event{Kind: run.PauseRequested, ID: "p"})
		time.Sleep(30 * time.Second)
		r.must("r1", run.Event{Kind: run.ResumeRequested, ID: "q"})
		rec, got := searched(r, "r1")
		if got.Kind != search.Found || got.Low != 100 || got.High != 110 || rec.Verdict.Result != run.Pass {
			t.Errorf("result %+v of %q, %+v", got, outcomes(rec), rec.Verdict)
		}
		if len(rec.Probes) < 2 || rec.Probes[0].Outcome != search.Disturbed || rec.Probes[1].Rate != rec.Probes[0].Rate {
			t.Errorf("probes %q", outcomes(rec))
		}
		wholeLoad(r, "r1")
	})
}

// TestSearchStopped: what was found until then is told, and that it is not all.
func TestSearchStopped(t *testing.T) {
	bubble(t, hunt, func(r *rig) {
		hunters(r, 2, knee{bears: 105})
		r.load("r1", 40*time.Second)
		r.must("r1", run.Event{Kind: run.StopRequested, ID: "x", Stop: run.StopOperator, Reason: "enough"})
		rec, got := searched(r, "r1")
		if got.Kind != search.Unfinished || got.Low == 0 || rec.Verdict.Result != run.Aborted {
			t.Errorf("result %+v of %q, %+v", got, outcomes(rec), rec.Verdict)
		}
		if !slices.ContainsFunc(rec.Verdict.Reasons, func(r run.Reason) bool {
			return strings.Contains(r.Message, "did not come to its end") && r.Code == run.CodeNoResult
		}) {
			t.Errorf("reasons %+v", rec.Verdict.Reasons)
		}
	})
}

// TestSearchLosesAWorker: a probe in which a part of the load was missing is repeated.
func TestSearchLosesAWorker(t *testing.T) {
	bubble(t, hunt, func(r *rig) {
		ws := hunters(r, 2, knee{bears: 105})
		r.load("r1", 4500*time.Millisecond)
		ws[1].die(false)
		rec, got := searched(r, "r1")
		if got.Low != 100 || got.High != 110 {
			t.Errorf("result %+v of %q", got, outcomes(rec))
		}
		if rec.Probes[0].Outcome != search.Disturbed {
			t.Errorf("probes %q: %s", outcomes(rec), rec.Probes[0].Reason)
		}
	})
}

// TestSearchCutsShort: a criterion that aborts ends a probe, and not the run.
func TestSearchCutsShort(t *testing.T) {
	text := strings.Replace(hunt, "measure: 4s", "measure: 20s", 1) + `  - name: bearable
    check: p50(response_time) < 300ms
    window: 2s
    on_breach: abort
`
	bubble(t, strings.Replace(text, "coordinator_loss: {grace: 8s}\n", "", 1), func(r *rig) {
		hunters(r, 2, knee{bears: 105})
		rec, got := searched(r, "r1")
		if got.Kind != search.Found || got.Low != 100 || got.High != 110 || rec.Verdict.Result != run.Pass {
			t.Errorf("result %+v of %q, %+v", got, outcomes(rec), rec.Verdict)
		}
		began := rec.History.Probes()
		for i, p := range rec.Probes {
			if p.Cut != (p.Outcome == search.Broken) || p.Cut && p.Criterion != "bearable" {
				t.Errorf("probe %+v", p)
			}
			if i+1 < len(began) && p.Cut && began[i+1].At-began[i].At > 12*time.Second {
				t.Errorf("a probe that was cut took %v", began[i+1].At-began[i].At)
			}
		}
		wholeLoad(r, "r1")
	})
}

// TestSearchWaitsForWholeIterations: what a probe has started is waited for as long as all steps of its flow together
// may take, so that the next probe does not start over what is left of it.
func TestSearchWaitsForWholeIterations(t *testing.T) {
	text := strings.Replace(hunt, "phases:\n", `    - think: 3s
    - step: pay
      http: {method: POST, path: /pay}
      timeout: 1s
      retry: {times: 2, backoff: 1s}
phases:
`, 1)
	const lasts = 7 * time.Second // of 1 + 3 + 3 * 1 + 2 * 1
	bubble(t, text, func(r *rig) {
		hunters(r, 2, knee{bears: 105, lasts: lasts})
		rec, got := searched(r, "r1")
		if got.Kind != search.Found || got.Low != 100 || got.High != 110 {
			t.Errorf("result %+v of %q", got, outcomes(rec))
		}
		broken := 0
		began := rec.History.Probes()
		for i, p := range rec.Probes[:len(rec.Probes)-1] {
			if p.Outcome != search.Broken {
				continue
			}
			broken++
			if end := began[i].At + began[i].For; began[i+1].At < end+lasts {
				t.Errorf("a probe began %v after the end of one whose iterations take %v", began[i+1].At-end, lasts)
			}
		}
		if broken == 0 {
			t.Errorf("no probe broke: %q", outcomes(rec))
		}
	})
}

// TestSearchForbidsScale: a run is not scaled while a search sets the rate.
func TestSearchForbidsScale(t *testing.T) {
	bubble(t, hunt, func(r *rig) {
		hunters(r, 1, knee{bears: 105})
		r.load("r1", 4*time.Second)
		_, err := r.command("r1", run.Event{Kind: run.ScaleRequested, ID: "s", Factor: 2})
		var refused *run.TransitionError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), "search") {
			t.Errorf("scale during a search: %v", err)
		}
		searched(r, "r1")
	})
}

// TestSearchThenPhase: phases before and after a search are judged as ever.
func TestSearchThenPhase(t *testing.T) {
	text := strings.Replace(hunt, `search:
`, `  - name: tail
    after: steady
    flow: buy
    rate:
      - hold: {at: 10/s, for: 5s}
search:
`, 1)
	bubble(t, text, func(r *rig) {
		hunters(r, 2, knee{bears: 105})
		rec, got := searched(r, "r1")
		if got.Kind != search.Found || rec.Verdict.Result != run.Pass {
			t.Errorf("result %+v, %+v", got, rec.Verdict)
		}
		if p := r.report("r1").Phases[1]; p.Name != "tail" || p.Load.Sent != 50 {
			t.Errorf("phase %+v", p)
		}
	})
}
