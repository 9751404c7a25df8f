package scenario

import (
	"fmt"
	"slices"
	"time"

	"proofload/internal/search"
)

// Search finds the highest rate of a phase at which the critical criteria hold. It conducts that phase: its rate is
// that of one probe after another. Rates are arrivals per second, scaled by the environment's load.
type Search struct {
	Phase     string  `json:"phase"`
	Low       float64 `json:"low"`  // the first rate
	High      float64 `json:"high"` // the highest that is tried
	Precision float64 `json:"precision"`
	Confirm   int     `json:"confirm"`
	// Each probe makes load for Warm, of which nothing counts, and for Measure, both whole seconds; between probes
	// there is none for Cool at least.
	Warm    time.Duration `json:"warm"`
	Measure time.Duration `json:"measure"`
	Cool    time.Duration `json:"cool,omitempty"`
}

// What leaving it out means.
const (
	defaultPrecision = 0.02
	defaultConfirm   = 3
	defaultWarm      = 5 * time.Second
)

// Times between probes, beyond Cool: how long it usually takes to judge one and to begin the next, and what is
// allowed for beyond the drain of what a probe left in flight.
const (
	usualPause = 3 * time.Second
	mostPause  = 15 * time.Second
)

// Config returns what the search goes by.
func (s Search) Config() search.Config {
	return search.Config{Low: s.Low, High: s.High, Precision: s.Precision, Confirm: s.Confirm}
}

// Load is how long a probe makes load.
func (s Search) Load() time.Duration { return s.Warm + s.Measure }

// Usual returns how long the search takes at most when no probe has to be repeated and the target drains at once.
func (s Search) Usual() time.Duration {
	return time.Duration(s.Config().Usual()) * (s.Load() + s.Cool + usualPause)
}

// SearchF is a search for the capacity of the target.
type SearchF struct {
	Phase     Text     `yaml:"phase,required" is:"name"`
	Between   BetweenF `yaml:"between,required"`
	Probe     ProbeF   `yaml:"probe,required"`
	Precision *Share   `yaml:"precision" is:">0 ..50%"`
	Confirm   *Count   `yaml:"confirm" is:"1..10"`
	At        pos      `yaml:"-"`
}

// ProbeF is how long each probe takes.
type ProbeF struct {
	Warm    *Span `yaml:"warm"`
	Measure Span  `yaml:"measure,required" is:">0"`
	Cool    *Span `yaml:"cool"`
}

// BetweenF is the lowest rate and the highest.
type BetweenF struct {
	Rates []Rate
	At    pos
}

func (b *BetweenF) decode(d *decoder, n *node) {
	b.At = n.pos
	if n.kind != listNode || len(n.items) != 2 {
		d.fail(n.pos, "%s where two rates were expected: write [500/s, 20000/s]", n.describe())
		return
	}
	before := len(d.problems)
	for _, item := range n.items {
		var r Rate
		r.decode(d, item)
		b.Rates = append(b.Rates, r)
	}
	if len(d.problems) > before {
		b.Rates = nil // there is nothing to compare
	}
}

func (b *BetweenF) schema(g *generator) *Schema {
	return &Schema{Type: "array", Items: new(Rate).schema(g), MinItems: 2, MaxItems: 2}
}

// buildSearch reads the search; the phases are built after it.
func (l *loader) buildSearch() {
	f := l.file.Search
	if f == nil {
		return
	}
	s := &Search{
		Phase: f.Phase.Value, Precision: defaultPrecision, Confirm: defaultConfirm,
		Warm: defaultWarm, Measure: f.Probe.Measure.Value,
	}
	load := 1.0
	if l.file.Load != nil {
		load = l.file.Load.Value
	}
	if rates := f.Between.Rates; len(rates) == 2 {
		s.Low, s.High = float64(rates[0].Value*load), float64(rates[1].Value*load)
	}
	if f.Precision != nil {
		s.Precision = f.Precision.Value
	}
	if f.Confirm != nil {
		s.Confirm = int(f.Confirm.Value)
	}
	if f.Probe.Warm != nil {
		s.Warm = f.Probe.Warm.Value
	}
	if f.Probe.Cool != nil {
		s.Cool = f.Probe.Cool.Value
	}
	if s.Warm%time.Second != 0 || s.Measure%time.Second != 0 {
		l.fail(f.At, "warm and measure of a probe are whole seconds")
	}
	if len(f.Between.Rates) == 2 && (!(s.Low > 0) || !(s.Low < s.High)) {
		l.fail(f.Between.At, "between: a search goes from a rate above 0 to a higher one")
	}
	l.plan.Search = s
}

// searched makes a phase the one that the search conducts: as high as it may go, for as long as it may take.
func (l *loader) searched(p *Phase) {
	s := l.plan.Search
	if s == nil || s.Phase != p.Name || len(l.problems) > 0 || len(p.Rate) == 0 {
		return
	}
	p.Searched = true
	each := s.Load() + s.Cool + l.plan.Longest(p) + mostPause
	seg := Segment{Kind: "search", From: s.High, To: s.High, For: maxSpan}
	if most := s.Config().Most(); each < maxSpan/time.Duration(most) {
		seg.For = time.Duration(most) * each
	}
	seg.Through = float64(s.High * seg.For.Seconds())
	p.Rate, p.Length = []Segment{seg}, seg.For
	p.Shapes = []Shape{{Kind: seg.Kind, Text: fmt.Sprintf("searched from %s to %s", FormatRate(s.Low), FormatRate(s.High)), Segments: 1}}
}

// capSearch keeps a search within the limit on the rate, of which other phases may need a part.
func (l *loader) capSearch() {
	s, most := l.plan.Search, l.plan.Limits.Rate
	if s == nil || most == 0 || len(l.problems) > 0 {
		return
	}
	i := slices.IndexFunc(l.plan.Phases, func(p Phase) bool { return p.Searched })
	if i < 0 {
		return
	}
	rest := *l.plan
	rest.Phases = slices.Clone(rest.Phases)
	rest.Phases[i].Rate = nil
	others, _ := rest.Peak()
	if room := most - others; room < s.High {
		if s.High = room; room <= s.Low {
			l.fail(l.file.Search.Between.At, "between: the limit of %s leaves the search no rate above %s", FormatRate(most), FormatRate(s.Low))
			return
		}
		l.searched(&l.plan.Phases[i])
	}
}

// checkSearch refuses a search that could not find anything.
func (l *loader) checkSearch() {
	f, s := l.file.Search, l.plan.Search
	if s == nil {
		return
	}
	p := l.plan.phase(s.Phase)
	if p == nil {
		var names []string
		for _, p := range l.plan.Phases {
			names = append(names, p.Name)
		}
		l.fail(f.Phase.At, "there is no phase %q%s", s.Phase, didYouMean(s.Phase, names))
		return
	}
	switch {
	case len(p.Users) > 0:
		l.fail(f.Phase.At, "phase %s has users: a search looks for a rate", s.Phase)
	case p.Warmup:
		l.fail(f.Phase.At, "phase %s is recorded as warmup, so that no criterion looks at it", s.Phase)
	case !slices.ContainsFunc(l.plan.Criteria, func(c Criterion) bool { return c.Decides(s.Phase) }):
		l.fail(f.At, "a search needs a critical criterion that looks at phase %s: without one every rate holds", s.Phase)
	}
}

// Decides tells whether a criterion is critical and looks at a phase that is not warm-up.
func (c Criterion) Decides(phase string) bool {
	return c.Severity != "warning" && c.Severity != "info" && (len(c.During) == 0 || slices.Contains(c.During, phase))
}
