package report

import (
	"errors"
	"fmt"
)

// Check reports every identity that d breaks, joined. A Document that breaks one is a defect of
// this program, never a property of the run.
func (d *Document) Check() error {
	c := &checker{}
	c.load("load", d.Load)
	c.equal("requests.sent", d.Requests.Sent, "succeeded + failed", d.Requests.Succeeded+d.Requests.Failed)
	var planned, sent, unsent int64
	for _, p := range d.Phases {
		c.load("phase "+p.Name, p.Load)
		c.equal("phase "+p.Name+": requests.sent", p.Requests.Sent, "succeeded + failed", p.Requests.Succeeded+p.Requests.Failed)
		planned += p.Load.Planned
		sent += p.Requests.Sent
		unsent += sum(p.Requests.Unsent)
	}
	c.equal("requests.unsent", sum(d.Requests.Unsent), "sum over the phases", unsent)
	c.equal("load.planned", d.Load.Planned, "sum over the phases", planned)
	c.equal("requests.sent", d.Requests.Sent, "sum over the phases", sent)
	c.series(d)
	c.timeline(d)
	return errors.Join(c.errs...)
}

type checker struct{ errs []error }

func (c *checker) equal(what string, got int64, of string, want int64) {
	if got != want {
		c.errs = append(c.errs, fmt.Errorf("report: %s is %d, but %s is %d", what, got, of, want))
	}
}

func (c *checker) load(what string, l Load) {
	c.equal(what+".planned", l.Planned, "sent + sum(not_sent) + unknown", l.Sent+l.NotSentTotal()+l.Unknown)
	c.equal(what+".sent", l.Sent, "succeeded + failed", l.Succeeded+l.Failed)
}

func (c *checker) series(d *Document) {
	if len(d.Series) == 0 {
		c.errs = append(c.errs, errors.New("report: series has no total"))
		return
	}
	var counted, failed, all int64
	seen := map[string]bool{}
	for _, s := range d.Series[1:] {
		key := fmt.Sprint(s.Labels, s.Warmup)
		if seen[key] {
			c.errs = append(c.errs, fmt.Errorf("report: series %v stands twice", s.Labels))
		}
		seen[key] = true
		all += s.Requests
		if !s.Warmup {
			counted += s.Requests
			failed += s.Errors
		}
	}
	total := d.Series[0]
	c.equal("series[0].requests", total.Requests, "sum of the other rows without warm-up", counted)
	c.equal("series[0].errors", total.Errors, "sum of the other rows without warm-up", failed)
	c.equal("requests.sent", d.Requests.Sent, "sum of the series with warm-up", all)
	for i, s := range d.Series {
		what := fmt.Sprintf("series[%d]", i)
		c.equal(what+".response_time.count", s.ResponseTime.Count, "requests", s.Requests)
		c.equal(what+".response_time_failed.count", s.ResponseTimeFailed.Count, "errors", s.Errors)
		c.equal(what+".errors", s.Errors, "sum of errors_by_kind", sum(s.ErrorsByKind))
	}
}

func (c *checker) timeline(d *Document) {
	var requests, failed int64
	for _, p := range d.Timeline.Points {
		requests += p.Requests
		failed += p.Errors
	}
	c.equal("requests.sent", d.Requests.Sent, "sum over the timeline", requests)
	c.equal("requests.failed", d.Requests.Failed, "sum over the timeline", failed)
}

func sum(m map[string]int64) int64 {
	var total int64
	for _, n := range m {
		total += n
	}
	return total
}
