package report

import (
	"fmt"
	"maps"
	"time"

	"proofload/internal/judge"
	"proofload/internal/load/schedule"
	"proofload/internal/metric"
	"proofload/internal/metric/hist"
	"proofload/internal/run"
	"proofload/internal/scenario"
)

// Input is everything that a report is made of. Outcome, State and EndedAt are those that the run
// ends with; its record may still be one step before.
type Input struct {
	Versions Versions
	Run      run.Run
	State    run.State
	EndedAt  time.Time
	Outcome  judge.Outcome
	Plan     *scenario.Plan
	// Fold holds all that was committed.
	Fold *Fold
	// Probed is the search of the run.
	Probed Probed
	// Missing corrects the arrivals of phases, by name, for what no batch tells.
	Missing map[string]Missing
	// Integrity is reported as it stands; SamplesCommitted is filled in when it is 0.
	Integrity Integrity
	// Events are those that the run's record does not tell: notifications, faults, connections.
	Events []Event
	// Findings are added to those that Build makes of the load itself.
	Findings []Finding
	// StartSkew is the largest difference between the workers' starts; nil: not measured.
	StartSkew *time.Duration
}

// Build makes the report of a run. The Document satisfies Check; an error is a defect of the caller
// or of the samples, and the Document that comes with it is still complete enough to be shown.
func Build(in Input) (*Document, error) {
	b := &builder{Input: in, spans: spansOf(in.Plan, in.Run, in.Fold)}
	d := &Document{
		Schema:   Schema,
		Versions: in.Versions,
		Run:      b.runRow(),
		Verdict:  verdict(in.Outcome.Verdict),
		Phases:   b.phases(),
		Series:   b.series(),
		Measures: in.Fold.measuresOver(b.spans.counted),
		Timeline: timelineOf(b.points()),
		Faults:   []any{},
		Slowest:  b.slow(),
	}
	b.totals(d)
	d.Integrity = b.integrity(d)
	d.Search = b.search()
	d.Criteria = criteria(in.Outcome.Criteria)
	d.Violations = violations(in.Outcome.Violations)
	d.Events = b.events(d)
	d.Findings = append(b.findings(d), in.Findings...)
	if err := d.Check(); err != nil {
		return d, fmt.Errorf("build report %s: %w", in.Run.ID, err)
	}
	return d, nil
}

// builder holds what the parts of a Document share while it is made.
type builder struct {
	Input
	spans    spans
	repaired int64 // arrivals whose numbers did not fit together
}

func (b *builder) runRow() Run {
	r, p := b.Run, b.Plan
	ended := b.EndedAt.UTC()
	if r.EndedAt != nil {
		ended = r.EndedAt.UTC()
	}
	elapsed, paused := b.spans.elapsed, b.spans.paused
	if r.State.Final() {
		elapsed, paused = r.Elapsed, r.Paused
	}
	row := Run{
		ID: r.ID, Name: r.Name, ScenarioSHA256: r.Scenario, Environment: r.Environment,
		Labels: notNil(r.Labels), Seed: p.Seed, State: string(b.State), StartedAt: r.CreatedAt.UTC(),
		ElapsedS: seconds(elapsed), PausedS: seconds(paused),
	}
	if r.T0 != nil {
		t0 := r.T0.UTC()
		row.T0At = &t0
	}
	if !ended.IsZero() {
		row.EndedAt = &ended
		row.WallS = seconds(ended.Sub(row.StartedAt))
	}
	if r.Stop != nil && r.Stop.Reason != "" && r.Stop.Kind != run.StopCompleted {
		row.StopReason = &r.Stop.Reason
	}
	return row
}

// phases lists the phases in the order of the plan.
func (b *builder) phases() []Phase {
	rows := make([]Phase, 0, len(b.Plan.Phases))
	for _, p := range b.Plan.Phases {
		span := b.spans.phases[p.Name]
		row := Phase{
			Name: p.Name, Warmup: p.Warmup, Load: b.load(p.Name), Requests: b.Fold.requests(p.Name),
			FromS: seconds(span.from), ToS: seconds(span.to),
		}
		if len(p.Rate) > 0 {
			cv := 0.0
			if p.Arrivals == schedule.Poisson {
				cv = 1
			}
			row.Arrivals, row.PlannedCV = &p.Arrivals, &cv
		}
		row.OfferedPerS, row.AchievedPerS = per(row.Load.Planned, span.active), per(row.Load.Sent, span.active)
		rows = append(rows, row)
	}
	return rows
}

// load settles the arrivals of one phase. An arrival whose sending was seen and whose end is in no
// batch is unknown: what became of it is.
func (b *builder) load(phase string) Load {
	l := Load{NotSent: notSent(), ScheduleLag: dist(b.Fold.lag[phase])}
	l.ArrivalCV = b.Fold.variation(phase)
	missing := b.Missing[phase]
	a := b.Fold.phases[phase]
	if a == nil {
		a = &metric.Arrivals{}
	}
	for cause, n := range a.NotSent {
		l.NotSent[string(cause)] += n
	}
	l.NotSent[string(metric.CauseWorkerLost)] += missing.WorkerLost
	l.Planned = a.Planned + missing.WorkerLost + missing.Unknown
	l.Succeeded, l.Failed = a.Succeeded, a.Failed
	l.Sent = l.Succeeded + l.Failed
	l.Unknown = l.Planned - l.Sent - l.NotSentTotal()
	if l.Unknown < 0 { // what was due is in a batch that is lost, what became of it is not
		b.repaired -= l.Unknown
		l.Planned, l.Unknown = l.Planned-l.Unknown, 0
	}
	return l
}

// totals sums the phases.
func (b *builder) totals(d *Document) {
	d.Load, d.Requests.Unsent = Load{NotSent: notSent()}, map[string]int64{}
	lag := hist.New()
	for i, p := range d.Phases {
		d.Load.Planned += p.Load.Planned
		d.Load.Sent += p.Load.Sent
		d.Load.Unknown += p.Load.Unknown
		d.Load.Succeeded += p.Load.Succeeded
		d.Load.Failed += p.Load.Failed
		for cause, n := range p.Load.NotSent {
			d.Load.NotSent[cause] += n
		}
		d.Requests.Sent += p.Requests.Sent
		d.Requests.Succeeded += p.Requests.Succeeded
		d.Requests.Failed += p.Requests.Failed
		d.Requests.Retried += p.Requests.Retried
		d.Requests.Redirects += p.Requests.Redirects
		add(d.Requests.Unsent, p.Requests.Unsent)
		if h := b.Fold.lag[p.Name]; h != nil {
			lag.Merge(h)
		}
		if b.StartSkew != nil {
			skew := seconds(*b.StartSkew)
			d.Phases[i].Load.StartSkewS, d.Load.StartSkewS = &skew, &skew
		}
	}
	d.Load.ScheduleLag = dist(lag)
	if len(d.Phases) == 1 {
		d.Load.ArrivalCV = d.Phases[0].Load.ArrivalCV
	}
	d.Requests.Setup, d.Requests.Teardown = b.Run.Setup.Requests, b.Run.Teardown.Requests
}

// notSent has every cause that there is, so that a reader finds each of them.
func notSent() map[string]int64 {
	m := map[string]int64{}
	for _, cause := range []metric.Cause{
		metric.CauseMaxInFlight, metric.CauseCapShare, metric.CauseLate, metric.CauseNoLease, metric.CauseWorkerLost,
		metric.CauseOutboxFull, metric.CauseStopped, metric.CauseData,
	} {
		m[string(cause)] = 0
	}
	return m
}

func (b *builder) integrity(d *Document) Integrity {
	i := b.Integrity
	if i.SamplesCommitted == 0 {
		i.SamplesCommitted = d.Requests.Sent
	}
	i.Gaps, i.LeaderChanges = list(i.Gaps), list(i.LeaderChanges)
	i.Workers, i.Generator = list(i.Workers), b.generator()
	for k := range i.Workers {
		i.Workers[k].Labels = notNil(i.Workers[k].Labels)
	}
	return i
}

// list returns a copy that is never nil.
func list[T any](in []T) []T { return append([]T{}, in...) }

// notNil returns a copy that is never nil.
func notNil(m map[string]string) map[string]string {
	out := make(map[string]string, len(m))
	maps.Copy(out, m)
	return out
}
