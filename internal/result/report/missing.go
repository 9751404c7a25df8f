package report

import (
	"maps"
	"time"

	"proofload/internal/metric"
)

// Missing is arrivals of one phase that are in no batch. They count as planned.
type Missing struct {
	Absent
	// Seconds tell where in run time they were due. What is in none of them is in the totals only.
	Seconds map[int64]Absent
}

// Absent counts arrivals that are in no batch.
type Absent struct {
	WorkerLost int64 // due while nobody owned their shard
	Unknown    int64 // due in a stretch whose batches are lost
}

// points are the seconds of the timeline, those of the fold with what is missing in them. A second that
// lacks arrivals is not valid, whatever the workers say that were there: it shows a part of the load.
func (b *builder) points() map[int64]*second {
	points := maps.Clone(b.Fold.points)
	own := map[int64]bool{}
	for _, m := range b.Missing {
		for index, n := range m.Seconds {
			if n == (Absent{}) {
				continue
			}
			if !own[index] {
				own[index] = true
				copied := &second{}
				if p := points[index]; p != nil {
					copied.extend(p)
				}
				points[index] = copied
			}
			p := points[index]
			p.arrivals.Merge(metric.Arrivals{Planned: n.WorkerLost + n.Unknown, NotSent: map[metric.Cause]int64{metric.CauseWorkerLost: n.WorkerLost}})
			p.unknown += n.Unknown
			p.health = metric.HealthInvalid
		}
	}
	return points
}

// generator is the judgement of the generator, with the seconds that lack arrivals of lost workers.
func (b *builder) generator() Generator {
	in := b.Outcome.Generator
	g := Generator{Seconds: in.Seconds, Degraded: in.Degraded, Invalid: in.Invalid, Causes: map[string]Strain{}, ScheduleLag: dist(in.Lag)}
	for cause, n := range in.Causes {
		g.Causes[cause] = Strain(n)
	}
	lacking := map[int64]bool{}
	for _, p := range b.Plan.Phases {
		for index, n := range b.Missing[p.Name].Seconds {
			lacking[index] = lacking[index] || !p.Warmup && n != Absent{}
		}
	}
	lost := g.Causes[string(metric.CauseWorkerLost)]
	for index, yes := range lacking {
		at := time.Duration(index) * time.Second
		if !yes || b.Run.Timeline().PausedWithin(at, at+time.Second) > 0 {
			continue
		}
		lost.Invalid++
		switch p := b.Fold.points[index]; {
		case p == nil || p.health == 0 || p.health == metric.HealthInvalid: // it counts already
		case p.health == metric.HealthDegraded:
			g.Degraded, g.Invalid = g.Degraded-1, g.Invalid+1
		default:
			g.Invalid++
		}
	}
	if lost != (Strain{}) {
		g.Causes[string(metric.CauseWorkerLost)] = lost
	}
	return g
}
