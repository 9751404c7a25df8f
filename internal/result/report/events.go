package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"proofload/internal/run"
	"proofload/internal/scenario/quantity"
)

// events tells in order what happened to the run, from all that knows of it.
func (b *builder) events(d *Document) []Event {
	events := list(b.Events)
	add := func(at time.Duration, kind, detail string) {
		events = append(events, Event{AtS: seconds(at), Kind: kind, Detail: detail})
	}
	for _, c := range b.Run.History {
		switch c.Kind {
		case run.ChangePause:
			add(c.At, "pause", reasoned("load paused", c.Reason))
		case run.ChangeResume:
			add(c.At, "resume", reasoned("load resumed", c.Reason))
		case run.ChangeScale:
			add(c.At, "scale", reasoned(fmt.Sprintf("load scaled to %g %% of the plan", 100*c.Factor), c.Reason))
		case run.ChangePhaseStart: // every phase's start is told below
		case run.ChangeProbe, run.ChangePhaseEnd: // what came of a probe is told by the search
		}
	}
	for _, p := range b.Plan.Phases {
		if s := b.spans.phases[p.Name]; s.active > 0 {
			add(s.from, "phase", p.Name+" started")
		}
	}
	if s := b.Run.Stop; s != nil && s.Kind != run.StopCompleted {
		add(s.At, "stop", reasoned("stopped by "+strings.ReplaceAll(string(s.Kind), "_", " "), s.Reason))
	}
	events = append(events, fleetEvents(d.Integrity)...)
	for i, v := range b.Outcome.Violations {
		add(v.KnownAt, "breach", breach(d.Violations[i])) // not where it began: nobody could know of it then
	}
	slices.SortStableFunc(events, func(a, b Event) int { return cmp.Compare(a.AtS, b.AtS) })
	return events
}

// fleetEvents tells of changes of leader and of workers that came later or went.
func fleetEvents(i Integrity) []Event {
	var events []Event
	for _, l := range i.LeaderChanges[min(1, len(i.LeaderChanges)):] {
		events = append(events, Event{l.AtS, "leader", fmt.Sprintf("%s leads, epoch %d", l.Coordinator, l.Epoch)})
	}
	for _, w := range i.Workers {
		if w.JoinedS > 0 {
			events = append(events, Event{w.JoinedS, "worker", w.ID + " joined"})
		}
		if w.LostS != nil {
			events = append(events, Event{*w.LostS, "worker", w.ID + " lost"})
		}
	}
	return events
}

func breach(v Violation) string {
	return rowName(v.Criterion, v.Labels) + ": worst " + worst(v) + ", limit " + quantity.Value(v.Limit, v.Unit)
}

func reasoned(text, reason string) string {
	if reason == "" {
		return text
	}
	return text + ": " + reason
}
