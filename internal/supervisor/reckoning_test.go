package supervisor

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"proofload/internal/result/report"
	"proofload/internal/run"
)

// account waits for the end and compares what was fired with what is reported.
func (m *motion) account() error {
	r := m.rig
	m.sleep(6 * time.Second)
	var rec run.Run
	for range 1200 {
		if rec = r.record("r1"); rec.State.Final() {
			break
		}
		m.sleep(100 * time.Millisecond)
	}
	if !rec.State.Final() {
		return fmt.Errorf("the run is still %s (%s)", rec.State, rec.Reason)
	}
	m.sleep(time.Second)
	head, err := r.manager.opts.Repository.Load(r.t.Context(), "r1")
	if err != nil {
		return err
	}
	d, err := r.reported("r1")
	if err != nil {
		return err
	}
	n, doubled := r.fleet.books.so()
	if doubled != "" {
		return errors.New(doubled)
	}
	marks := head.Marks.Map()
	lost := int64(0)
	errs := m.forgotten(rec)
	for _, w := range m.lives {
		mine := w.lost(marks[sourceOf(w.member())])
		lost += mine.sent
		i := slices.IndexFunc(d.Integrity.Gaps, func(g report.Gap) bool { return g.Worker == w.name && g.Incarnation == w.incarnation })
		named := i >= 0
		switch {
		case mine.sent == 0:
		case !named:
			errs = append(errs, fmt.Errorf("%d arrivals of %s/%d are lost, and no gap tells of it", mine.sent, w.name, w.incarnation))
		case (mine.first+lateBound).Seconds() < d.Integrity.Gaps[i].FromS || mine.last.Seconds() > d.Integrity.Gaps[i].ToS:
			errs = append(errs, fmt.Errorf("%d arrivals of %s/%d are lost that were due from %v to %v, and the gap is %+v", mine.sent, w.name, w.incarnation, mine.first, mine.last, d.Integrity.Gaps[i]))
		}
		if named && !w.crashed && !w.absent && rec.State == run.Completed {
			errs = append(errs, fmt.Errorf("%s/%d never died, and has a gap", w.name, w.incarnation))
		}
	}
	l := d.Load
	if l.Sent != int64(n)-lost {
		errs = append(errs, fmt.Errorf("%d were fired, %d of them lost, and %d are reported", n, lost, l.Sent))
	}
	missing := l.Unknown
	if rec.Stop.Kind == run.StopCompleted {
		missing += l.NotSent["worker_lost"] // together they are what is in no book, and no more
	}
	if lost > missing {
		errs = append(errs, fmt.Errorf("%d arrivals were fired and lost, and only %d are missing", lost, missing))
	}
	if l.Planned != l.Sent+l.NotSentTotal()+l.Unknown {
		errs = append(errs, fmt.Errorf("planned %d is not sent %d + not sent %v + unknown %d", l.Planned, l.Sent, l.NotSent, l.Unknown))
	}
	if rec.Stop.Kind == run.StopOperator && (rec.Stop.AskedOf != "c9" || rec.Stop.Reason != "enough") {
		errs = append(errs, fmt.Errorf("stopped by %+v", rec.Stop))
	}
	if rec.Stop.Kind == run.StopCompleted && l.Planned != 1000 {
		errs = append(errs, fmt.Errorf("planned %d of 1000: %+v", l.Planned, l))
	}
	if len(errs) > 0 {
		errs = append(errs, fmt.Errorf("%s: %s, load %+v, gaps %+v, workers %+v", rec.State, rec.Reason, l, d.Integrity.Gaps, d.Integrity.Workers))
	}
	return errors.Join(errs...)
}

// forgotten says which stop the record does not know: one that was answered as recorded, or one that a worker had
// heard of in mid-load and lived on to tell.
func (m *motion) forgotten(rec run.Run) (errs []error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a := m.answered; a != nil && (a.Stop == nil || a.Stop.Kind != rec.Stop.Kind) {
		errs = append(errs, fmt.Errorf("a stop was answered with %+v, and the record says %+v", a.Stop, rec.Stop))
	}
	for _, w := range m.lives {
		w.mu.Lock()
		if w.heeded != nil && *w.heeded < rec.Stop.At-time.Second && !w.shaken && rec.Stop.Kind != run.StopOperator {
			errs = append(errs, fmt.Errorf("%s/%d was told to stop at %v, and the record says %+v", w.name, w.incarnation, *w.heeded, rec.Stop))
		}
		w.mu.Unlock()
	}
	return errs
}

// explain tells what became of every life, to find out why.
func (m *motion) explain() {
	fired := map[string]int{}
	for _, who := range m.rig.fleet.books.by {
		fired[who]++
	}
	for _, w := range m.lives {
		w.mu.Lock()
		m.rig.t.Logf("%s/%d fired %d, sealed %v, open %d, cut %v, frozen %v, attached %v, grant %v, wanted %+v, status %+v, final %+v",
			w.name, w.incarnation, fired[fmt.Sprintf("%s/%d", w.name, w.incarnation)], w.sealed, w.opened, w.cut, w.frozen, w.session, w.grant, w.wanted, w.status, w.final)
		w.mu.Unlock()
	}
	m.rig.t.Log(m.rig.log.String())
}
