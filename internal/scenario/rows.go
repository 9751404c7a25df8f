package scenario

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

// Deal is the rows of a data set with order: unique that one phase gives out, and no other.
type Deal struct {
	First int64 `json:"first"`
	Rows  int64 `json:"rows"`
}

// PlannedArrivals returns how many arrivals an open-model phase plans: exact for uniform, the expected
// number for poisson, 0 for users.
func (p Phase) PlannedArrivals() int64 {
	if len(p.Rate) == 0 {
		return 0
	}
	return int64(math.Ceil(p.Rate[len(p.Rate)-1].Through))
}

// checkRows deals unique rows to the phases, and refuses files with too few rows for what is planned.
func (l *loader) checkRows() {
	if len(l.problems) > 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(l.plan.Data)) {
		switch d := l.plan.Data[name]; {
		case d.File() == "":
		case d.Order == "unique":
			l.deal(name, d)
		case d.Order == "sequential" && d.OnEnd == "stop":
			l.checkPoisson(name, d)
		}
	}
}

// deal gives each phase rows of its own, so that no row is dealt twice: to an open phase one for every
// arrival, to users one each. Users who take a row for every iteration, and a search, share what is left.
func (l *loader) deal(name string, d Dataset) {
	var need int64
	if l.mentions(name, l.plan.Setup) || l.mentions(name, l.plan.Teardown) {
		need++ // both have the first row
	}
	var endless []*Phase
	var least int64
	for i := range l.plan.Phases {
		p := &l.plan.Phases[i]
		if !l.usesData(*p, name) {
			continue
		}
		n := l.draws(*p)
		if len(p.Users) > 0 && d.Per == "iteration" || p.Searched {
			endless, least = append(endless, p), least+n
			continue
		}
		p.deal(name, Deal{First: need, Rows: n})
		need += n
	}
	if need+least > d.Rows {
		l.fail(l.file.Data[name].place(), "unique rows of %s: the phases draw %d of them, the file has %d%s", name, need+least, d.Rows, l.why(name))
		return
	}
	spare := d.Rows - need - least
	for i, p := range endless {
		n := l.draws(*p) + spare/int64(len(endless))
		if i == len(endless)-1 {
			n = d.Rows - need
		}
		p.deal(name, Deal{First: need, Rows: n})
		need += n
	}
}

func (p *Phase) deal(set string, d Deal) {
	if p.Deals == nil {
		p.Deals = map[string]Deal{}
	}
	p.Deals[set] = d
}

// checkPoisson refuses rows that end although most of them are not used yet: with poisson even the
// first arrival may have a high number.
func (l *loader) checkPoisson(name string, d Dataset) {
	for _, p := range l.plan.Phases {
		if p.Arrivals != "poisson" || !l.usesData(p, name) {
			continue
		}
		if need := l.draws(p); need > d.Rows {
			l.fail(l.file.Data[name].place(), "rows of %s with on_end: stop: phase %s draws from %d of them, the file has %d%s", name, p.Name, need, d.Rows, l.why(name))
		}
	}
}

// why explains a number of rows that is larger than that of the arrivals.
func (l *loader) why(set string) string {
	for _, p := range l.plan.Phases {
		if p.Arrivals == "poisson" && l.usesData(p, set) {
			return fmt.Sprintf("; poisson arrivals are numbered in steps of %d, uniform ones without gaps", Shards)
		}
	}
	return ""
}

// draws returns how many rows the phase takes at least: one for every number that an arrival of it
// may have, or one for every user.
func (l *loader) draws(p Phase) int64 {
	switch {
	case p.Searched: // for its first probe; how many it makes, nobody knows before
		return int64(math.Ceil(l.plan.Search.Low * l.plan.Search.Load().Seconds()))
	case len(p.Users) > 0:
		var most float64
		for _, s := range p.Users {
			most = max(most, s.From, s.To)
		}
		return int64(math.Ceil(most))
	case p.Arrivals == "poisson" && l.opts.Rows != nil:
		return l.opts.Rows(l.plan.Seed, &p)
	case p.Arrivals == "poisson":
		return math.MaxInt32 * Shards // nobody can tell: no file is enough
	}
	return p.PlannedArrivals()
}

func (l *loader) usesData(p Phase, set string) bool {
	return slices.ContainsFunc(p.Mix, func(w Weight) bool { return l.mentions(set, l.plan.Flows[w.Flow].Steps) })
}

func (l *loader) mentions(set string, steps []Step) bool {
	text := "data." + set + "."
	return slices.ContainsFunc(steps, func(s Step) bool { return s.Mentions(text) || l.plan.Targets[s.Target].Auth.mentions(text) })
}
