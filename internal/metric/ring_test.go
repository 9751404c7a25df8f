package metric

import (
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"proofload/internal/metric/hist"
)

// TestRingAgainstRawValues compares statistics with those of the raw values of the window.
func TestRingAgainstRawValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 6).Draw(t, "size")
		length := rapid.IntRange(1, 8).Draw(t, "length")
		ring := NewRing(RingOptions{Size: size})
		values := map[int64][]time.Duration{}
		failed := map[int64]int{}
		newest := int64(-1)
		for range rapid.IntRange(0, 20).Draw(t, "parts") {
			index := rapid.Int64Range(0, 12).Draw(t, "second")
			s := NewSecond(index)
			for _, outcome := range []string{"ok", "failed"} {
				h := hist.New()
				for _, ms := range rapid.SliceOfN(rapid.IntRange(1, 500), 0, 4).Draw(t, outcome) {
					h.Record(time.Duration(ms) * time.Millisecond)
				}
				s.Add(Key{ResponseTime, NewLabels("outcome", outcome)}, Value{Hist: h})
			}
			kept := index > newest-int64(size)
			if ring.Add(s) != kept {
				t.Fatalf("second %d with newest %d of size %d: kept is %v", index, newest, size, !kept)
			}
			if !kept {
				continue
			}
			newest = max(newest, index)
			for key, v := range s.Series {
				for b := range v.Hist.Buckets() {
					lower, upper := hist.Bounds(b.Index)
					mid := time.Duration(math.Round((lower + upper) / 2 * 1e9))
					values[index] = append(values[index], slices.Repeat([]time.Duration{mid}, int(b.Count))...)
				}
				if key.Labels.Get("outcome") == "failed" {
					failed[index] += int(v.Hist.Count())
				}
			}
			if _, ok := values[index]; !ok {
				values[index] = nil
			}
		}
		last := newest - rapid.Int64Range(0, 3).Draw(t, "behind")
		maps.DeleteFunc(values, func(index int64, _ []time.Duration) bool { return index <= newest-int64(size) || index > last })
		checkWindow(t, ring.Statistics(Selector{Metric: ResponseTime}, last, length), oracle(values, failed, last, length))
	})
}

type window struct {
	seconds, count, failed int
	sum                    float64
	trend                  float64
}

// oracle computes what a window holds, with the trend by the textbook's centred formula.
func oracle(values map[int64][]time.Duration, failed map[int64]int, newest int64, length int) window {
	var w window
	var at, of []float64
	for index, all := range values {
		if index <= newest-int64(length) {
			continue
		}
		w.seconds++
		w.failed += failed[index]
		for _, v := range all {
			w.count++
			w.sum += v.Seconds()
			at, of = append(at, float64(index)), append(of, v.Seconds())
		}
	}
	var meanAt, meanOf, cov, spread float64
	for i := range at {
		meanAt, meanOf = meanAt+at[i]/float64(len(at)), meanOf+of[i]/float64(len(at))
	}
	for i := range at {
		cov, spread = cov+(at[i]-meanAt)*(of[i]-meanOf), spread+(at[i]-meanAt)*(at[i]-meanAt)
	}
	if spread > 1e-9 {
		w.trend = cov / spread
	}
	return w
}

func checkWindow(t *rapid.T, got Statistics, want window) {
	t.Helper()
	if got.Seconds != time.Duration(want.seconds)*time.Second || got.Count != uint64(want.count) {
		t.Fatalf("%d values in %v, want %d in %d s", got.Count, got.Seconds, want.count, want.seconds)
	}
	if want.count == 0 {
		if got != (Statistics{Seconds: got.Seconds}) {
			t.Fatalf("statistics of nothing: %+v", got)
		}
		return
	}
	for _, c := range []struct {
		name            string
		got, want, slip float64
	}{
		{"sum", got.Sum, want.sum, 0.006 * want.sum},
		{"mean", got.Mean, want.sum / float64(want.count), 0.006 * want.sum / float64(want.count)},
		{"rate", got.Rate, float64(want.count) / float64(want.seconds), 1e-9},
		{"error ratio", got.ErrorRatio, float64(want.failed) / float64(want.count), 1e-9},
		{"trend", got.Trend, want.trend, 0.006},
	} {
		if math.Abs(c.got-c.want) > c.slip {
			t.Errorf("%s %v, want %v", c.name, c.got, c.want)
		}
	}
	if got.Min > got.P50 || got.P50 > got.P99 || got.P99 > got.P999 || got.P999 > got.Max {
		t.Errorf("quantiles out of order: %+v", got)
	}
}

func TestRingCounterTrend(t *testing.T) {
	ring := NewRing(RingOptions{Size: 10})
	for i := range int64(5) {
		s := NewSecond(i)
		if i > 0 {
			s.Add(Key{BytesIn, Labels{}}, Value{Count: 100 * i})
		}
		ring.Add(s)
	}
	got := ring.Statistics(Selector{Metric: BytesIn}, ring.newest, 10)
	if got.Count != 1000 || got.Rate != 200 || math.Abs(got.Trend-100) > 1e-9 {
		t.Errorf("%+v, want 1000 at 200/s growing by 100/s", got)
	}
}

func TestRingLeavesPausesOut(t *testing.T) {
	ring := NewRing(RingOptions{Size: 10})
	for i, paused := range []time.Duration{0, time.Second, time.Second / 2} {
		s := NewSecond(int64(i))
		s.Paused = paused
		s.Add(Key{BytesIn, Labels{}}, Value{Count: 30})
		ring.Add(s)
	}
	got := ring.Statistics(Selector{Metric: BytesIn}, ring.newest, 10)
	if got.Seconds != 1500*time.Millisecond || got.Count != 60 || got.Rate != 40 {
		t.Errorf("%+v, want 60 in 1.5 s", got)
	}
}

func TestRingKeepsACategory(t *testing.T) {
	ring := NewRing(RingOptions{Size: 3, Keep: func(_ string, info Info) bool { return info.Category == "business" }})
	s := NewSecond(0)
	for name, info := range map[string]Info{"revenue": {"business", "EUR"}, "cpu": {"system", "1"}, ResponseTime: {}} {
		h := hist.New()
		if err := h.RecordValue(12.5); err != nil {
			t.Fatal(err)
		}
		s.Add(Key{name, NewLabels("step", "pay")}, Value{Hist: h})
		if info != (Info{}) {
			s.Infos[name] = info
		}
	}
	ring.Add(s)
	later := NewSecond(1)
	later.Add(Key{"revenue", Labels{}}, Value{Hist: s.Select("revenue", nil)}) // its info is known already
	ring.Add(later)
	want := []Key{{"revenue", Labels{}}, {"revenue", NewLabels("step", "pay")}}
	if got := ring.Keys(3); !slices.Equal(got, want) {
		t.Errorf("keys %v, want %v", got, want)
	}
	if got := ring.Info("revenue"); got != (Info{"business", "EUR"}) {
		t.Errorf("info %v", got)
	}
	step := Selector{Metric: "revenue", Match: func(l Labels) bool { return l.Get("step") == "pay" }}
	if got := ring.Statistics(step, ring.newest, 3); got.Count != 1 || got.Mean != 12.5 || got.Max != 12.5 {
		t.Errorf("%+v, want one of 12.5", got)
	}
}

func TestRingRefusesTheOld(t *testing.T) {
	ring := NewRing(RingOptions{Size: 2})
	if keys := ring.Keys(5); len(keys) != 0 {
		t.Errorf("an empty ring has %v", keys)
	}
	for _, c := range []struct {
		second int64
		want   bool
	}{{5, true}, {4, true}, {3, false}, {-1, false}, {6, true}, {4, false}} {
		if got := ring.Add(NewSecond(c.second)); got != c.want {
			t.Errorf("second %d: %v", c.second, got)
		}
	}
	if ring.Missed() != 3 {
		t.Errorf("missed %d, want 3", ring.Missed())
	}
}

// TestRingPartsCostWhatTheyAdd shows that a further part of a second is added to what is there: encoding the
// sum anew for each of a thousand workers was a third of what a coordinator did.
func TestRingPartsCostWhatTheyAdd(t *testing.T) {
	ring, part := NewRing(RingOptions{Size: 7}), busy().Second
	ring.Add(part)
	if n := testing.AllocsPerRun(100, func() { ring.Add(part) }); n > 0 {
		t.Errorf("%v allocations for a part of a second that is there, want none", n)
	}
	later := NewSecond(part.Index + ringOpen)
	ring.Add(later)
	ring.Add(part) // and one that comes when its second is encoded already
	if got, want := ring.Statistics(Selector{Metric: ResponseTime}, ring.newest, 7).Count, uint64(103*10*500); got != want {
		t.Errorf("%d requests, want %d", got, want)
	}
}
