package supervisor

import (
	"errors"
	"strings"
	"testing"
	"time"

	"proofload/internal/run"
)

// TestDeletedWhilePublishing: a run that is deleted between its closing commit and the copies of its
// reports is over, and its worker goes to the next one.
func TestDeletedWhilePublishing(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		deleted := errors.New("nothing was published")
		r.disk.before(func(key string) {
			if strings.HasPrefix(key, "reports/") {
				r.disk.before(nil)
				deleted = r.manager.opts.Repository.Delete(r.t.Context(), r.term, "r1")
			}
		})
		r.create("r1", 0)
		r.create("r2", 0)
		r.until("r2", run.Completed)
		if deleted != nil {
			t.Errorf("delete: %v", deleted)
		}
	})
}

// TestReportsThatCannotBeCopied do not hold the worker, and are copied at the next start.
func TestReportsThatCannotBeCopied(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		r.disk.failPut(errors.New("input/output error"))
		r.create("r1", 0)
		r.create("r2", 0)
		r.until("r1", run.Completed)
		r.report("r1")
		r.load("r2", time.Second)
		r.disk.failPut(nil)
		r.term.end()
		r.resign()
		r.lead(2)
		time.Sleep(time.Second)
		if _, err := r.disk.Memory.Get(r.t.Context(), "reports/r1/report.json"); err != nil {
			t.Errorf("after the next start: %v", err)
		}
	})
}
