package metric

import (
	"reflect"
	"sync"
	"testing"
	"time"
)

// TestAccumulatorLosesNothing records from many goroutines while seconds are sealed.
func TestAccumulatorLosesNothing(t *testing.T) {
	const workers, each = 8, 2000
	a := NewAccumulator(3, 0)
	h := a.Hist(Key{ResponseTime, NewLabels("step", "s")})
	c := a.Counter(Key{BytesIn, Labels{}})
	row := a.Arrivals(ArrivalKey{"p", "f"})
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			r := a.Recorder(w)
			for i := range each {
				second := int64(i / 100)
				r.Lock()
				r.Observe(second, h, time.Duration(i))
				r.Count(second, c, 2)
				r.Arrivals(second, row).Sent++
				r.NotSent(second, row, CauseLate, 1)
				r.Unlock()
			}
		})
	}
	total := NewSecond(0)
	done := make(chan struct{})
	var end sync.WaitGroup
	defer end.Wait()
	end.Go(func() { wg.Wait(); close(done) })
	for second := int64(0); ; second++ {
		s := a.Seal(second)
		total.Merge(s)
		select {
		case <-done:
			for rest := range int64(30) {
				total.Merge(a.Seal(second + 1 + rest))
			}
			checkTotals(t, total, workers*each)
			return
		default:
		}
	}
}

func checkTotals(t *testing.T, total Second, want int64) {
	t.Helper()
	if got := total.Select(ResponseTime, func(Labels) bool { return true }).Count(); got != uint64(want) {
		t.Errorf("%d samples, want %d", got, want)
	}
	if got := total.Total(BytesIn, func(Labels) bool { return true }); got != 2*want {
		t.Errorf("counter %d, want %d", got, 2*want)
	}
	row := total.Arrivals[ArrivalKey{"p", "f"}]
	if row.Sent != want || row.NotSent[CauseLate] != want {
		t.Errorf("arrivals %+v, want %d each", row, want)
	}
}

func TestAccumulatorSeconds(t *testing.T) {
	a := NewAccumulator(1, 0)
	h := a.Hist(Key{ResponseTime, Labels{}})
	r := a.Recorder(0)
	observe := func(second int64) { r.Lock(); r.Observe(second, h, 1); r.Unlock() }
	count := func(s Second) uint64 { return s.Select(ResponseTime, func(Labels) bool { return true }).Count() }
	observe(0)
	observe(1)
	observe(1)
	if got := count(a.Seal(0)); got != 1 {
		t.Errorf("second 0 holds %d samples, want 1", got)
	}
	observe(0) // late: goes to the oldest open second
	if got := count(a.Seal(1)); got != 3 {
		t.Errorf("second 1 holds %d samples, want 3", got)
	}
}

// TestAccumulatorSealsAhead seals over seconds in which nobody sealed.
func TestAccumulatorSealsAhead(t *testing.T) {
	a := NewAccumulator(0, 5)
	h := a.Counter(Key{BytesIn, Labels{}})
	r := a.Recorder(9)
	for second := range int64(100) { // the earliest open second is 5, the latest 64
		r.Lock()
		r.Count(second, h, 1)
		r.Unlock()
	}
	for _, c := range []struct{ second, want int64 }{{5, 6}, {9, 4}, {10, 1}, {63, 53}, {64, 36}, {65, 0}} {
		s := a.Seal(c.second)
		if got := s.Total(BytesIn, nil); got != c.want || s.Index != c.second {
			t.Errorf("second %d holds %d, want %d", s.Index, got, c.want)
		}
	}
}

func TestRecordingAllocatesNothing(t *testing.T) {
	a := NewAccumulator(1, 0)
	h, c := a.Hist(Key{ResponseTime, Labels{}}), a.Counter(Key{BytesIn, Labels{}})
	row := a.Arrivals(ArrivalKey{"p", "f"})
	r := a.Recorder(0)
	record := func() {
		r.Lock()
		defer r.Unlock()
		r.Observe(0, h, time.Millisecond)
		r.Count(0, c, 1)
		r.Arrivals(0, row).Sent++
		r.NotSent(0, row, CauseLate, 1)
	}
	record()
	if n := testing.AllocsPerRun(100, record); n != 0 {
		t.Errorf("recording allocates %v times", n)
	}
}

// TestAccumulatorSealedLate: when sealing was held up, every second still has what happened in it, and no
// more slots are kept afterwards than are needed.
func TestAccumulatorSealedLate(t *testing.T) {
	a := NewAccumulator(1, 0)
	h := a.Hist(Key{ResponseTime, Labels{}})
	r := a.Recorder(0)
	for round := range int64(2) {
		for second := round * 12; second < round*12+12; second++ {
			r.Lock()
			for range second + 1 {
				r.Observe(second, h, time.Millisecond)
			}
			r.Unlock()
		}
		for second := round * 12; second < round*12+12; second++ {
			s := a.Seal(second)
			if n := s.Select(ResponseTime, nil).Count(); n != uint64(second+1) {
				t.Errorf("second %d holds %d samples, want %d", second, n, second+1)
			}
		}
		if len(r.slots) != 0 || len(r.spare) > maxSpare {
			t.Errorf("%d slots are open and %d spare", len(r.slots), len(r.spare))
		}
	}
}

// TestSeriesAtRestGivesBackMemory: a series that nothing is recorded in any more holds no page of counters after two
// further seconds, while its neighbour, which is in use, keeps its own.
func TestSeriesAtRestGivesBackMemory(t *testing.T) {
	a := NewAccumulator(1, 0)
	resting, used := a.Hist(Key{ResponseTime, NewLabels("step", "resting")}), a.Hist(Key{ResponseTime, NewLabels("step", "used")})
	r := a.Recorder(0)
	observe := func(second int64, h Handle) { r.Lock(); r.Observe(second, h, time.Millisecond); r.Unlock() }
	pages := func(h Handle) (n int) {
		for _, s := range r.spare {
			counters := reflect.ValueOf(s.hists[h]).Elem().FieldByName("positive")
			for i := range counters.Len() {
				if !counters.Index(i).IsNil() {
					n++
				}
			}
		}
		return n
	}
	observe(0, resting)
	for second := range int64(3) {
		observe(second, used)
		a.Seal(second)
		if second == 0 && pages(resting) != 1 {
			t.Fatalf("%d pages for the value just sealed, want 1", pages(resting))
		}
	}
	if rest, busy := pages(resting), pages(used); rest != 0 || busy != 1 {
		t.Errorf("%d pages of the series at rest and %d of the one in use, want 0 and 1", rest, busy)
	}
}
