package flow

import (
	"slices"
	"testing"
	"time"

	"proofload/internal/scenario"
)

// TestResponseTimeCountsFromTheIntendedStart holds each report against the rule: nothing that made a
// request late is left out of its response time.
func TestResponseTimeCountsFromTheIntendedStart(t *testing.T) {
	const late, thought, backoff = 2 * time.Second, 3 * time.Millisecond, 2 * time.Millisecond
	s := newShop(t, answer(503, ""))
	first, again := get("first", "/"), get("again", "/")
	again.ImplyStatus, again.Continue, again.Retry = true, true, &scenario.Retry{Times: 1, Backoff: backoff}
	last := get("last", "/")
	think := scenario.Step{Think: &scenario.Distribution{Kind: "constant", Value: thought}}
	b := newBench(s.URL, first, think, think, again, last)
	p := b.compile(t)
	r := &record{}
	it := &Iteration{ID: b.id, Clock: wallClock{time.Now()}, Sink: r, Intended: -late}
	if err := it.Prepare(p, p.Flow("f")); err != nil {
		t.Fatal(err)
	}
	it.Run(t.Context(), p.Flow("f"))
	if len(r.reports) != 4 {
		t.Fatalf("reports: %v", r.outcomes())
	}
	intended := []time.Duration{-late, r.reports[0].Ended + 2*thought, r.reports[1].Ended + backoff, r.reports[2].Ended}
	for i, q := range r.reports {
		if q.Response != q.Ended-intended[i] {
			t.Errorf("%s: response %v of what ended at %v and was intended at %v", q.Step.Name, q.Response, q.Ended, intended[i])
		}
		if q.Service > q.Response || q.Service >= late {
			t.Errorf("%s: service %v, response %v", q.Step.Name, q.Service, q.Response)
		}
	}
	// What began is told in order, pauses by their end, so that thinking is no waiting for the target.
	if !slices.IsSorted(r.began) || slices.Max(r.began) > r.reports[3].Ended {
		t.Errorf("began: %v", r.began)
	}
}

// TestThinkTimeIsOfTheIdentity: the same iteration thinks equally long everywhere, others do not.
func TestThinkTimeIsOfTheIdentity(t *testing.T) {
	s := newShop(t, answer(200, ""))
	think := scenario.Step{Think: &scenario.Distribution{Kind: "uniform", Min: 0, Max: 2 * time.Millisecond}}
	pause := func(name string) time.Duration {
		b := newBench(s.URL, get("a", "/"), think, get("b", "/"))
		b.id = Once(1, name)
		r, _, ok, err := b.run(t, t.Context())
		if !ok || err != nil {
			t.Fatalf("run: %v, %v", ok, err)
		}
		return r.reports[1].Ended - r.reports[1].Response - r.reports[0].Ended
	}
	one, same, other := pause("one"), pause("one"), pause("other")
	if one != same || one == other {
		t.Errorf("pauses %v, %v and of another iteration %v", one, same, other)
	}
}

// TestIterationIsUsedAgain: nothing of one execution is left in the next.
func TestIterationIsUsedAgain(t *testing.T) {
	s := newShop(t, answer(200, `{"a": 1}`))
	save, read := get("save", "/"), get("read", "/")
	save.Save = []scenario.Expression{{Name: "a", Source: "json.a"}}
	save.HTTP.Body = new("${vars.a ?? 'new'}")
	read.Expect = []string{"vars.a == 1", "user.id == 3"}
	b := newBench(s.URL, save, read)
	p := b.compile(t)
	r := &record{}
	it := &Iteration{ID: b.id, Clock: wallClock{time.Now()}, Sink: r}
	it.ID.User = 3
	for range 3 {
		if err := it.Prepare(p, p.Flow("f")); err != nil {
			t.Fatal(err)
		}
		if ok, err := it.Run(t.Context(), p.Flow("f")); !ok || err != nil {
			t.Fatalf("run: %v, %v", ok, err)
		}
	}
	for i, seen := range s.seen {
		if i%2 == 0 && seen != "GET / new" {
			t.Errorf("request %d was %q", i, seen)
		}
	}
	it.ID.User = -1
	if err := it.Prepare(p, p.Flow("f")); err != nil {
		t.Fatal(err)
	}
	if ok, err := it.Run(t.Context(), p.Flow("f")); ok || err == nil {
		t.Error("an arrival of an open phase read a user")
	}
}

// BenchmarkIteration is one step with a template and two checks, against a server in the same process.
func BenchmarkIteration(b *testing.B) {
	s := newShopFor(b)
	step := get("s", "/${vars.none ?? 'x'}")
	step.Expect = []string{"status == 200", `json.a == 1`}
	bench := newBench(s, step)
	p := bench.compile(b)
	it := &Iteration{ID: bench.id, Clock: wallClock{time.Now()}, Sink: discard{}}
	b.ReportAllocs()
	for b.Loop() {
		if err := it.Prepare(p, p.Flow("f")); err != nil {
			b.Fatal(err)
		}
		if ok, err := it.Run(b.Context(), p.Flow("f")); !ok {
			b.Fatal(err)
		}
	}
}

// discard is a Sink that forgets.
type discard struct{}

func (discard) Began(string, time.Duration)                       {}
func (discard) Request(*Report)                                   {}
func (discard) Timed(*Step, Timing, time.Duration, time.Duration) {}
func (discard) Measure(*Step, int, float64, time.Duration)        {}
