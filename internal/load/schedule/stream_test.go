package schedule

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"proofload/internal/run"
	"proofload/internal/scenario"
)

var whole = []Range{{From: 0, To: scenario.Shards}}

// all yields what is left of s.
func all(s *Stream) []Arrival {
	var out []Arrival
	for a, ok := s.Next(); ok; a, ok = s.Next() {
		out = append(out, a)
	}
	return out
}

func TestUniformStream(t *testing.T) {
	phase := &scenario.Phase{Name: "p", Rate: profile([3]float64{0, 5000, 4}, [3]float64{5000, 5000, 3}, [3]float64{5000, 0, 2})}
	s := NewStream(1, phase)
	curve := NewCurve(phase.Rate, nil)
	s.Set(curve, whole)
	got := all(s)
	if int64(len(got)) != curve.Count() || curve.Count() != 30000 {
		t.Fatalf("%d arrivals, count %d, want 30000", len(got), curve.Count())
	}
	for i, a := range got {
		if at, _ := curve.At(float64(i)); a.Index() != int64(i) || a.At != at {
			t.Fatalf("arrival %d is %+v at %v", i, a, at)
		}
	}
}

func TestPoissonStream(t *testing.T) {
	phase := &scenario.Phase{Name: "p", Arrivals: Poisson, Rate: profile([3]float64{5000, 5000, 20})}
	s := NewStream(1, phase)
	s.Set(NewCurve(phase.Rate, nil), whole)
	got := all(s)
	if n := float64(len(got)); math.Abs(n-100000) > 5*math.Sqrt(100000) {
		t.Errorf("%v arrivals, want about 100000", n)
	}
	var gaps, squares float64
	for i := 1; i < len(got); i++ {
		if got[i].At < got[i-1].At {
			t.Fatalf("arrival %d is before the one before", i)
		}
		g := (got[i].At - got[i-1].At).Seconds() * 5000
		gaps += g
		squares += g * g
	}
	n := float64(len(got) - 1)
	if cv := math.Sqrt(squares/n-gaps/n*gaps/n) / (gaps / n); math.Abs(cv-1) > 0.02 {
		t.Errorf("coefficient of variation of the gaps = %v, want 1", cv)
	}
}

// fired is one arrival with the run time at which it was due.
type fired struct {
	Shard int32
	K     int64
	At    time.Duration
}

// world is several workers that share a phase through a random history.
type world struct {
	phase   *scenario.Phase
	start   time.Duration
	history run.History
	streams []*Stream
	ranges  [][]Range
	fired   []fired
}

// apply gives every worker the history and its ranges.
func (w *world) apply() {
	tl := run.NewTimeline(w.history)
	curve := NewCurve(w.phase.Rate, Factors(tl, w.start))
	for i, s := range w.streams {
		s.Set(curve, InPhase(w.ranges[i], tl, w.start))
	}
}

// until lets every worker fire what is due before now.
func (w *world) until(now time.Duration) {
	tl := run.NewTimeline(w.history)
	for _, s := range w.streams {
		for {
			a, ok := s.Peek()
			if !ok {
				break
			}
			at, ok := tl.RunTime(w.start + a.At)
			if !ok || at >= now {
				break
			}
			s.Next()
			w.fired = append(w.fired, fired{a.Shard, a.K, at})
		}
	}
}

// TestStreamOwnership: whatever the history of ownership, pauses and scale, all workers together
// fire what one alone would, each arrival once.
func TestStreamOwnership(t *testing.T) {
	for _, kind := range []string{"uniform", Poisson} {
		t.Run(kind, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { checkOwnership(t, kind) })
		})
	}
}

func checkOwnership(t *rapid.T, kind string) {
	ownership(t, &scenario.Phase{Name: "p", Arrivals: kind, Rate: drawProfile(t)})
}

// ownership takes a phase through a random history on up to ten workers.
func ownership(t *rapid.T, phase *scenario.Phase) {
	w := &world{phase: phase, start: time.Duration(rapid.Int64Range(0, 3e9).Draw(t, "start"))}
	workers := rapid.SampledFrom([]int{1, 2, 3, 10}).Draw(t, "workers")
	for range workers {
		w.streams = append(w.streams, NewStream(9, phase))
	}
	w.ranges = make([][]Range, workers)
	// One cut point per pair of neighbours; moves give the positions between two cuts to another worker.
	owner := make([]int, 8) // eighths of the ring
	for i := range owner {
		owner[i] = rapid.IntRange(0, workers-1).Draw(t, "owner")
		w.ranges[owner[i]] = append(w.ranges[owner[i]], eighth(i, 0, 0))
	}
	w.apply()
	now, stamp, paused := time.Duration(0), time.Duration(0), false
	for range rapid.IntRange(0, 8).Draw(t, "events") {
		now += time.Duration(rapid.Int64Range(1, 4e9).Draw(t, "after"))
		w.until(now)
		stamp = max(stamp, now+time.Duration(rapid.Int64Range(1, 1e9).Draw(t, "ahead")))
		switch rapid.SampledFrom([]string{"pause", "scale", "move", "move"}).Draw(t, "event") {
		case "pause":
			kind := run.ChangePause
			if paused {
				kind = run.ChangeResume
			}
			paused = !paused
			w.history = append(w.history, run.Change{Kind: kind, At: stamp})
		case "scale":
			w.history = append(w.history, run.Change{Kind: run.ChangeScale, At: stamp, Factor: rapid.SampledFrom([]float64{0.5, 1, 2}).Draw(t, "f")})
		case "move":
			i, to := rapid.IntRange(0, 7).Draw(t, "eighth"), rapid.IntRange(0, workers-1).Draw(t, "to")
			w.move(i, owner[i], to, stamp)
			owner[i] = to
		}
		w.apply()
		now = stamp // nobody is asked twice before a stamp has come
		w.until(now)
	}
	if paused {
		w.history = append(w.history, run.Change{Kind: run.ChangeResume, At: stamp + time.Second})
		w.apply()
	}
	w.until(forever)

	alone := &world{phase: phase, start: w.start, history: w.history, streams: []*Stream{NewStream(9, phase)}, ranges: [][]Range{whole}}
	alone.apply()
	alone.until(forever)
	compare(t, w.fired, alone.fired)
	if phase.Arrivals != Poisson {
		tl := run.NewTimeline(w.history)
		if n := NewCurve(phase.Rate, Factors(tl, w.start)).Count(); int64(len(w.fired)) != n {
			t.Fatalf("%d arrivals, want %d", len(w.fired), n)
		}
	}
}

func eighth(i int, since, until time.Duration) Range {
	const n = scenario.Shards / 8
	return Range{From: i * n, To: (i + 1) * n, Since: since, Until: until}
}

// move takes an eighth from one worker and gives it to another at the stamp.
func (w *world) move(i, from, to int, stamp time.Duration) {
	if from == to {
		return
	}
	for j := range w.ranges[from] {
		if r := &w.ranges[from][j]; r.From == eighth(i, 0, 0).From && r.Until == 0 {
			r.Until = stamp
		}
	}
	w.ranges[to] = slices.DeleteFunc(w.ranges[to], func(r Range) bool { return r.From == eighth(i, 0, 0).From })
	w.ranges[to] = append(w.ranges[to], eighth(i, stamp, 0))
}

// compare asks for the same arrivals at the same instants.
func compare(t *rapid.T, got, want []fired) {
	order := func(a, b fired) int { return cmp.Or(cmp.Compare(a.Shard, b.Shard), cmp.Compare(a.K, b.K)) }
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("arrival %d is %+v, want %+v", i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d arrivals, want %d", len(got), len(want))
	}
}

func TestRangesAreEvenlySpaced(t *testing.T) {
	for _, n := range []int{1, 3, 64, 1000, 8192} {
		var shards []int
		for p := range n {
			shards = append(shards, Residue(p+137))
		}
		slices.Sort(shards)
		wide := shards[0] + scenario.Shards - shards[n-1]
		for i := 1; i < n; i++ {
			wide = max(wide, shards[i]-shards[i-1])
		}
		if limit := 4 * scenario.Shards / n; wide > limit {
			t.Errorf("%d positions leave a gap of %d shards, more than %d", n, wide, limit)
		}
	}
	for p := range scenario.Shards {
		if Residue(Residue(p)) != p {
			t.Fatalf("Residue is not its own inverse at %d", p)
		}
	}
}

func BenchmarkStream(b *testing.B) {
	for _, kind := range []string{"uniform", Poisson} {
		b.Run(kind, func(b *testing.B) {
			phase := &scenario.Phase{Name: "p", Arrivals: kind, Rate: profile([3]float64{20000, 20000, 1e5})}
			s := NewStream(1, phase)
			s.Set(NewCurve(phase.Rate, nil), whole)
			for b.Loop() {
				if _, ok := s.Next(); !ok {
					b.Fatal("ended")
				}
			}
		})
	}
	b.Run("takeover after an hour", func(b *testing.B) {
		phase := &scenario.Phase{Name: "p", Arrivals: Poisson, Rate: profile([3]float64{20000, 20000, 7200})}
		for b.Loop() {
			s := NewStream(1, phase)
			s.Set(NewCurve(phase.Rate, nil), []Range{{From: 0, To: scenario.Shards / 4, Since: time.Hour}})
		}
	})
}

func ExampleResidue() {
	for p := range 4 {
		fmt.Print(Residue(p), " ")
	}
	// Output: 0 8192 4096 12288
}
