package scenario

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

func (l *loader) buildPhases() {
	load := 1.0
	if l.file.Load != nil {
		load = l.file.Load.Value
	}
	names := map[string]bool{}
	for _, f := range l.file.Phases {
		if names[f.Name.Value] {
			l.fail(f.Name.At, "phase %s stands twice", f.Name.Value)
		}
		names[f.Name.Value] = true
	}
	for _, f := range l.file.Phases {
		l.plan.Phases = append(l.plan.Phases, l.phase(f, load, names))
	}
	l.checkGraph()
	l.capSearch()
	l.checkLimits()
}

func (l *loader) phase(f PhaseF, load float64, names map[string]bool) Phase {
	p := Phase{Name: f.Name.Value, Late: DefaultLate, Warmup: textOr(f.Record, "measure") == "warmup"}
	p.Mix = l.mix(f)
	l.start(&p, f, names)
	if f.Late != nil {
		p.Late = f.Late.Value
	}
	switch {
	case f.Rate != nil:
		l.open(&p, f, load)
		l.searched(&p)
		for _, w := range p.Mix {
			if l.personal[w.Flow] {
				l.fail(f.Name.At, "flow %s reads user, which the arrivals of a rate do not have: use users in phase %s, or has(user.id)", w.Flow, p.Name)
			}
		}
	case f.Users != nil:
		l.closed(&p, f, load)
	}
	return p
}

func (l *loader) mix(f PhaseF) []Weight {
	var out []Weight
	if f.Flow != nil {
		l.flow(f.Flow.Value, f.Flow.At)
		return append(out, Weight{f.Flow.Value, 1})
	}
	for _, name := range slices.Sorted(maps.Keys(f.Mix)) {
		w := f.Mix[name]
		l.flow(name, w.At)
		out = append(out, Weight{name, w.Value})
	}
	return out
}

func (l *loader) flow(name string, at pos) {
	if _, ok := l.file.Flows[name]; !ok {
		var names []string
		for n := range l.file.Flows {
			names = append(names, n)
		}
		slices.Sort(names)
		l.fail(at, "there is no flow %q%s", name, didYouMean(name, names))
	}
}

func (l *loader) start(p *Phase, f PhaseF, names map[string]bool) {
	for _, ref := range []struct {
		text *Text
		to   *string
	}{{f.After, &p.After}, {f.With, &p.With}} {
		if ref.text == nil {
			continue
		}
		*ref.to = ref.text.Value
		if ref.text.Value == p.Name {
			l.fail(ref.text.At, "phase %s cannot wait for itself", p.Name)
		} else if !names[ref.text.Value] {
			var all []string
			for n := range names {
				all = append(all, n)
			}
			slices.Sort(all)
			l.fail(ref.text.At, "there is no phase %q%s", ref.text.Value, didYouMean(ref.text.Value, all))
		}
	}
	if f.At != nil {
		p.At = f.At.Value
	}
}

// open builds a phase of the open model.
func (l *loader) open(p *Phase, f PhaseF, load float64) {
	p.Arrivals = textOr(f.Arrivals, "uniform")
	p.MaxInFlight = DefaultMaxInFlight
	if f.MaxInFlight != nil {
		p.MaxInFlight = f.MaxInFlight.Value
	}
	if load < 1 || f.MaxInFlight != nil {
		p.MaxInFlight = max(int64(math.Ceil(float64(float64(p.MaxInFlight)*load))), 1)
	}
	prof := &profile{loader: l, phase: p, rate: true, load: load, unit: FormatRate, scale: func(h float64) float64 { return float64(h * load) }}
	for _, s := range f.Rate {
		prof.add(s.shape())
	}
	p.Rate, p.Shapes = prof.segments, prof.shapes
}

func (l *loader) closed(p *Phase, f PhaseF, load float64) {
	if f.Pace != nil {
		p.Pace = f.Pace.Value
	}
	prof := &profile{
		loader: l, phase: p, load: load, unit: func(h float64) string { return fmt.Sprintf("%.0f", h) },
		scale: func(h float64) float64 { return scaled(h, load) },
	}
	for _, s := range f.Users {
		prof.add(s.shape())
	}
	p.Users, p.Shapes = prof.segments, prof.shapes
}

// scaled returns a part of some users, rounded, and at least one if there were any: a phase is made
// small by an environment, not empty.
func scaled(users, load float64) float64 {
	if users == 0 || load == 0 {
		return 0
	}
	return max(math.Round(users*load), 1)
}

// checkGraph refuses phases that wait for each other.
func (l *loader) checkGraph() {
	for i, p := range l.plan.Phases {
		seen := map[string]bool{p.Name: true}
		for at := p; at.After != "" || at.With != ""; {
			next := at.After + at.With
			if next == at.Name {
				break // which was said already
			}
			if seen[next] {
				l.fail(l.file.Phases[i].Name.At, "phase %s waits for itself, through %s", p.Name, next)
				return
			}
			seen[next] = true
			found := l.plan.phase(next)
			if found == nil {
				return
			}
			at = *found
		}
	}
}

func (p *Plan) phase(name string) *Phase {
	for i := range p.Phases {
		if p.Phases[i].Name == name {
			return &p.Phases[i]
		}
	}
	return nil
}

// Start returns the plan time at which a phase starts when nothing is delayed.
func (p *Plan) Start(name string) time.Duration {
	var start func(ph *Phase, depth int) time.Duration
	start = func(ph *Phase, depth int) time.Duration {
		switch {
		case ph == nil || depth > len(p.Phases):
			return 0
		case ph.After != "":
			before := p.phase(ph.After)
			if before == nil {
				return 0
			}
			return start(before, depth+1) + p.Lasts(before)
		case ph.With != "":
			return start(p.phase(ph.With), depth+1)
		}
		return ph.At
	}
	return start(p.phase(name), 0)
}

// Lasts returns how long a phase takes when nothing delays it: one that a search conducts usually ends well before
// its Length, and this is how long it takes at most without repeats.
func (p *Plan) Lasts(ph *Phase) time.Duration {
	if ph.Searched && p.Search != nil {
		return p.Search.Usual()
	}
	return ph.Length
}

// Planned returns the length of the whole plan when nothing delays it.
func (p *Plan) Planned() time.Duration {
	var end time.Duration
	for _, ph := range p.Phases {
		end = max(end, p.Start(ph.Name)+p.Lasts(&ph))
	}
	return end
}

func (l *loader) checkLimits() {
	if len(l.problems) > 0 {
		return
	}
	rate, users := l.plan.Peak()
	if most := l.plan.Limits.Rate; most > 0 && rate > most*(1+1e-9) {
		l.fail(l.file.Limits.Rate.At, "the phases reach %s, above the limit of %s", FormatRate(rate), FormatRate(most))
	}
	if most := l.plan.Limits.Users; most > 0 && users > most {
		l.fail(l.file.Limits.Users.At, "the phases reach %.0f users, above the limit of %.0f", users, most)
	}
}

// FormatRate renders a rate as it is written in a scenario.
func FormatRate(r float64) string { return fmt.Sprintf("%.4g/s", r) }
