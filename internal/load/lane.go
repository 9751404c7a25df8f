package load

import (
	"time"

	"proofload/internal/metric"
)

// lane is a share of the goroutines that execute iterations, with a recorder of their own, so that
// they do not meet those of other lanes. The recorder's lock guards all fields.
type lane struct {
	rec      *metric.Recorder
	idle     []*runner // the one used last is taken first: its stack and caches are warm
	finished []int64   // iterations that have ended, by phase
	running  *runner   // list of the runners that are at work
	closed   bool      // idle runners end
}

// enlist puts r on the list of those at work. The lock must be held.
func (l *lane) enlist(r *runner) {
	r.prev, r.next = nil, l.running
	if l.running != nil {
		l.running.prev = r
	}
	l.running = r
}

// delist takes r off that list. The lock must be held.
func (l *lane) delist(r *runner) {
	if r.prev != nil {
		r.prev.next = r.next
	} else {
		l.running = r.next
	}
	if r.next != nil {
		r.next.prev = r.prev
	}
	r.prev, r.next = nil, nil
}

// gap counts the distance between two arrivals; what is no number is none.
func (l *lane) gap(h metric.Handle, v float64, second int64) {
	l.rec.Lock()
	defer l.rec.Unlock()
	_ = l.rec.ObserveValue(second, h, v)
}

// peak notes how many iterations of a phase are in flight.
func (l *lane) peak(phase string, n, second int64) {
	l.rec.Lock()
	defer l.rec.Unlock()
	l.rec.Peak(second, phase, n)
}

// take returns an idle runner, nil if there is none.
func (l *lane) take() *runner {
	l.rec.Lock()
	defer l.rec.Unlock()
	n := len(l.idle)
	if n == 0 {
		return nil
	}
	r := l.idle[n-1]
	l.idle = l.idle[:n-1]
	return r
}

// close ends the runners that are idle now, and those that become so.
func (l *lane) close() {
	l.rec.Lock()
	defer l.rec.Unlock()
	l.closed = true
	for _, r := range l.idle {
		close(r.jobs)
	}
	l.idle = nil
}

// done returns how many iterations of a phase have ended.
func (l *lane) done(phase int) int64 {
	l.rec.Lock()
	defer l.rec.Unlock()
	return l.finished[phase]
}

// awaited is what an iteration waits for: a step, or that of its first.
type awaited struct {
	row  metric.ArrivalKey
	step string
}

// ages adds to oldest the start of the operation that has been running longest.
func (l *lane) ages(oldest map[awaited]time.Duration) {
	l.rec.Lock()
	defer l.rec.Unlock()
	for r := l.running; r != nil; r = r.next {
		key := awaited{r.job.flow.key, r.step}
		if since, ok := oldest[key]; !ok || r.since < since {
			oldest[key] = r.since
		}
	}
}
