package metric

import (
	"slices"
	"sync"
	"time"

	"proofload/internal/metric/hist"
)

// Handle names a series of an Accumulator, resolved once so that recording looks nothing up.
type Handle int

// ArrivalHandle names a row of arrivals of an Accumulator.
type ArrivalHandle int

// Accumulator collects the samples of one worker for one run, second by second. It consists of
// recorders, each used by few goroutines, and is sealed once per second. All methods may be called
// concurrently.
type Accumulator struct {
	recorders []*Recorder

	mu       sync.Mutex
	hists    map[Key]Handle
	counters map[Key]Handle
	arrivals map[ArrivalKey]ArrivalHandle
	histKeys []Key
	countKey []Key
	arrKeys  []ArrivalKey
}

// NewAccumulator returns an accumulator with n recorders, at least one, whose first open second is
// first, which is not negative.
func NewAccumulator(n int, first int64) *Accumulator {
	a := &Accumulator{hists: map[Key]Handle{}, counters: map[Key]Handle{}, arrivals: map[ArrivalKey]ArrivalHandle{}}
	for range max(n, 1) {
		a.recorders = append(a.recorders, &Recorder{open: first})
	}
	return a
}

// Recorder returns recorder i modulo their number.
func (a *Accumulator) Recorder(i int) *Recorder { return a.recorders[i%len(a.recorders)] }

// Hist returns the handle of a histogram series.
func (a *Accumulator) Hist(key Key) Handle {
	a.mu.Lock()
	defer a.mu.Unlock()
	h, ok := a.hists[key]
	if !ok {
		h = Handle(len(a.histKeys))
		a.hists[key] = h
		a.histKeys = append(a.histKeys, key)
	}
	return h
}

// Counter returns the handle of a counter series.
func (a *Accumulator) Counter(key Key) Handle {
	a.mu.Lock()
	defer a.mu.Unlock()
	h, ok := a.counters[key]
	if !ok {
		h = Handle(len(a.countKey))
		a.counters[key] = h
		a.countKey = append(a.countKey, key)
	}
	return h
}

// Arrivals returns the handle of a row of arrivals.
func (a *Accumulator) Arrivals(key ArrivalKey) ArrivalHandle {
	a.mu.Lock()
	defer a.mu.Unlock()
	h, ok := a.arrivals[key]
	if !ok {
		h = ArrivalHandle(len(a.arrKeys))
		a.arrivals[key] = h
		a.arrKeys = append(a.arrKeys, key)
	}
	return h
}

// Recorder records samples. The caller holds its lock over the calls that belong to one event:
//
//	r.Lock(); r.Observe(...); r.Count(...); r.Unlock()
//
// The lock is a recorder's own, so that recorders do not meet but when a second is sealed. A sample
// goes to the second that it names, unless that is sealed: then to the oldest open one.
type Recorder struct {
	sync.Mutex
	open  int64   // oldest second that is not sealed
	slots []*slot // of the seconds open, open+1, ..., as far as anything was recorded
	spare []*slot // empty ones, to be used again
}

// maxOpen bounds how many seconds are kept apart when nobody seals them, as while a full disk holds the
// sealing up. What is recorded later than that goes to the last of them.
const maxOpen = 60

// maxSpare is how many empty slots are kept: those of the seconds that are open while all goes well.
const maxSpare = 3

// slot is the samples of one second, by handle.
type slot struct {
	hists    []*hist.Histogram
	counters []int64
	arrivals []Arrivals
	notSent  []notSent
	peaks    []peak
	slowest  []slowest
}

type slowest struct {
	key StepKey
	one Exemplar
}

type peak struct {
	phase string
	n     int64
}

type notSent struct {
	row   ArrivalHandle
	cause Cause
	n     int64
}

// slot returns where samples of a second go.
func (r *Recorder) slot(second int64) *slot {
	i := int(min(max(second-r.open, 0), maxOpen-1))
	for len(r.slots) <= i {
		r.slots = append(r.slots, r.fresh())
	}
	return r.slots[i]
}

// fresh returns an empty slot.
func (r *Recorder) fresh() *slot {
	n := len(r.spare)
	if n == 0 {
		return &slot{}
	}
	s := r.spare[n-1]
	r.spare = r.spare[:n-1]
	return s
}

// Observe adds a value to a histogram series. The lock must be held.
func (r *Recorder) Observe(second int64, h Handle, d time.Duration) {
	r.slot(second).hist(h).Record(d)
}

// ObserveValue adds a number of any unit; hist.ErrNotFinite says that it is none. The lock must
// be held.
func (r *Recorder) ObserveValue(second int64, h Handle, v float64) error {
	return r.slot(second).hist(h).RecordValue(v)
}

func (s *slot) hist(h Handle) *hist.Histogram {
	for int(h) >= len(s.hists) {
		s.hists = append(s.hists, nil)
	}
	if s.hists[h] == nil {
		s.hists[h] = hist.New()
	}
	return s.hists[h]
}

// Count adds to a counter series. The lock must be held.
func (r *Recorder) Count(second int64, h Handle, n int64) {
	s := r.slot(second)
	for int(h) >= len(s.counters) {
		s.counters = append(s.counters, 0)
	}
	s.counters[h] += n
}

// Arrivals returns the counts of a row to add to. Its NotSent is not to be used; see NotSent. The
// lock must be held for as long as the pointer is used.
func (r *Recorder) Arrivals(second int64, h ArrivalHandle) *Arrivals {
	s := r.slot(second)
	for int(h) >= len(s.arrivals) {
		s.arrivals = append(s.arrivals, Arrivals{})
	}
	return &s.arrivals[h]
}

// NotSent counts arrivals that were not sent. The lock must be held.
func (r *Recorder) NotSent(second int64, h ArrivalHandle, cause Cause, n int64) {
	s := r.slot(second)
	for i := range s.notSent {
		if s.notSent[i].row == h && s.notSent[i].cause == cause {
			s.notSent[i].n += n
			return
		}
	}
	s.notSent = append(s.notSent, notSent{h, cause, n})
}

// Peak notes how many iterations of a phase are in flight; of a second, the most stands. Only one
// recorder is to be told of a phase. The lock must be held.
func (r *Recorder) Peak(second int64, phase string, n int64) {
	s := r.slot(second)
	for i := range s.peaks {
		if s.peaks[i].phase == phase {
			s.peaks[i].n = max(s.peaks[i].n, n)
			return
		}
	}
	s.peaks = append(s.peaks, peak{phase, n})
}

// Exemplify keeps a request that carried the id of a trace if it is the slowest of its step in that second. The
// lock must be held.
func (r *Recorder) Exemplify(second int64, key StepKey, x Exemplar) {
	s := r.slot(second)
	for i := range s.slowest {
		if s.slowest[i].key == key {
			if x.Slower(s.slowest[i].one) {
				s.slowest[i].one = x
			}
			return
		}
	}
	s.slowest = append(s.slowest, slowest{key, x})
}

// Seal closes every second through the given one and returns what they hold as one delta of that
// second. Seconds must be sealed in order. Recorders are locked only while a slot is exchanged.
func (a *Accumulator) Seal(second int64) Second {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := NewSecond(second)
	for _, r := range a.recorders {
		for sealed := r.seal(second); sealed != nil; sealed = r.seal(second) {
			a.drain(sealed, &out)
			r.reuse(sealed)
		}
	}
	return out
}

// seal closes the oldest open second if it is not after the given one, and returns what it holds; with
// nothing recorded it closes all of them.
func (r *Recorder) seal(second int64) *slot {
	r.Lock()
	defer r.Unlock()
	if r.open > second {
		return nil
	}
	if len(r.slots) == 0 {
		r.open = second + 1
		return nil
	}
	sealed := r.slots[0]
	r.slots = slices.Delete(r.slots, 0, 1)
	r.open++
	return sealed
}

// reuse takes back a slot that was emptied.
func (r *Recorder) reuse(s *slot) {
	r.Lock()
	defer r.Unlock()
	if len(r.spare) < maxSpare {
		r.spare = append(r.spare, s)
	}
}

// drain moves what a slot holds into out and empties it; a.mu is held.
func (a *Accumulator) drain(s *slot, out *Second) {
	for h, v := range s.hists {
		if v == nil {
			continue
		}
		if !v.Empty() {
			out.Add(a.histKeys[h], Value{Hist: v})
		}
		v.Reset() // also of a series at rest, which gives back the memory that it does not need
	}
	for h, n := range s.counters {
		if n != 0 {
			out.Add(a.countKey[h], Value{Count: n})
			s.counters[h] = 0
		}
	}
	for h := range s.arrivals {
		if row := &s.arrivals[h]; row.counts() {
			a.row(out, ArrivalHandle(h)).Merge(*row)
			*row = Arrivals{}
		}
	}
	for _, n := range s.notSent {
		a.row(out, n.row).Merge(Arrivals{NotSent: map[Cause]int64{n.cause: n.n}})
	}
	s.notSent = s.notSent[:0]
	for _, p := range s.peaks {
		out.peak(p.phase, max(out.Peaks[p.phase], p.n))
	}
	s.peaks = s.peaks[:0]
	for _, x := range s.slowest {
		out.exemplify(x.key, x.one)
	}
	s.slowest = s.slowest[:0]
}

func (a *Accumulator) row(out *Second, h ArrivalHandle) *Arrivals {
	key := a.arrKeys[h]
	row, ok := out.Arrivals[key]
	if !ok {
		row = &Arrivals{}
		out.Arrivals[key] = row
	}
	return row
}

func (a Arrivals) counts() bool {
	return a.Planned|a.Sent|a.Succeeded|a.Failed|a.InFlight != 0
}
