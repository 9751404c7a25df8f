package scenario

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// Render writes the plan in words: when what happens, how much of it, where it goes, and what must
// hold. workers is the number of workers for the shares.
func (p *Plan) Render(w io.Writer, workers int) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", p.Name)
	if p.Environment != "" {
		fmt.Fprintf(&b, " in %s", p.Environment)
	}
	fmt.Fprintf(&b, "   seed %d   scenario %.12s\n", p.Seed, p.ScenarioSHA256)
	if p.Description != "" {
		fmt.Fprintf(&b, "%s\n", strings.Join(strings.Fields(p.Description), " "))
	}
	rate, users := p.Peak()
	lasts := "lasts"
	if p.Search != nil {
		lasts = "lasts at most"
	}
	fmt.Fprintf(&b, "%s %s, reaches %s, needs %s", lasts, p.Planned(), peakText(rate, users), workersText(p.Workers.Min))
	for _, k := range slices.Sorted(maps.Keys(p.Workers.Match)) {
		fmt.Fprintf(&b, " %s=%s", k, p.Workers.Match[k])
	}
	b.WriteString("\n\nTargets\n")
	for _, name := range slices.Sorted(maps.Keys(p.Targets)) {
		t := p.Targets[name]
		where := t.URL
		if t.Mock != "" {
			where = "mock " + t.Mock + ", served by each worker"
		}
		fmt.Fprintf(&b, "  %s: %s\n", name, where)
	}
	p.renderPhases(&b, workers)
	p.renderSearch(&b)
	p.renderCriteria(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// peakText names the heights that a plan reaches, without those that it has not.
func peakText(rate, users float64) string {
	switch {
	case users == 0:
		return FormatRate(rate)
	case rate == 0:
		return fmt.Sprintf("%.0f users", users)
	}
	return fmt.Sprintf("%s and %.0f users", FormatRate(rate), users)
}

func workersText(least int) string {
	if least <= 1 {
		return "a worker"
	}
	return fmt.Sprintf("%d workers", least)
}

func (p *Plan) renderPhases(b *strings.Builder, workers int) {
	b.WriteString("\nTimeline\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  phase\tfrom\tto\tmodel\tload\tarrivals\tper worker\tflows\tcap")
	for _, ph := range p.Phases {
		start := p.Start(ph.Name)
		model, arrivals, share, limit := "users", "-", "-", "-"
		segments := ph.Users
		if len(ph.Rate) > 0 {
			model, segments = ph.Arrivals, ph.Rate
			n := ph.PlannedArrivals()
			arrivals, share = fmt.Sprint(n), fmt.Sprint(n/int64(max(workers, 1)))
			if ph.Arrivals == "poisson" {
				arrivals, share = "about "+arrivals, "about "+share
			}
			limit = fmt.Sprintf("%d in flight", ph.MaxInFlight)
			if ph.Searched { // how many there will be, nobody knows
				arrivals, share = "-", "-"
			}
		}
		name := ph.Name
		if ph.Warmup {
			name += " (warm-up)"
		}
		from := start.String()
		switch {
		case ph.After != "" && p.Search != nil && ph.After == p.Search.Phase:
			from = "after " + ph.After + ", usually by " + from
		case ph.After != "":
			from = "after " + ph.After + ", " + from + " or later"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", name, from, start+p.Lasts(&ph), model,
			p.profile(&ph, segments), arrivals, share, mixText(ph.Mix), limit)
	}
	_ = t.Flush()
}

func (p *Plan) profile(ph *Phase, segments []Segment) string {
	if ph.Searched {
		return fmt.Sprintf("searched from %s to %s", FormatRate(p.Search.Low), FormatRate(p.Search.High))
	}
	unit := func(v float64) string {
		if len(ph.Rate) > 0 {
			return FormatRate(v)
		}
		return fmt.Sprintf("%.0f", v)
	}
	var parts []string
	for _, s := range segments {
		if s.Kind == "hold" {
			parts = append(parts, fmt.Sprintf("%s for %s", unit(s.From), s.For))
			continue
		}
		parts = append(parts, fmt.Sprintf("%s to %s in %s", unit(s.From), unit(s.To), s.For))
	}
	return strings.Join(parts, ", ")
}

// renderSearch says what the search does, and how long it may take.
func (p *Plan) renderSearch(b *strings.Builder) {
	s := p.Search
	if s == nil {
		return
	}
	c := s.Config()
	fmt.Fprintf(b, "\nSearch\n  the highest rate of phase %s from %s to %s at which its critical criteria hold\n", s.Phase, FormatRate(s.Low), FormatRate(s.High))
	fmt.Fprintf(b, "  each probe: %s of load to warm up, %s measured", s.Warm, s.Measure)
	if s.Cool > 0 {
		fmt.Fprintf(b, ", then %s without load", s.Cool)
	}
	fmt.Fprintf(b, "\n  to within %.4g %%; the result must hold %d times\n", s.Precision*100, s.Confirm)
	fmt.Fprintf(b, "  at most %d probes, which take about %s; up to %d if some are disturbed or the target is not steady\n", c.Usual(), s.Usual(), c.Most())
}

func mixText(mix []Weight) string {
	if len(mix) == 1 {
		return mix[0].Flow
	}
	var parts []string
	for _, w := range mix {
		parts = append(parts, fmt.Sprintf("%s:%g", w.Flow, w.Weight))
	}
	return strings.Join(parts, " ")
}

func (p *Plan) renderCriteria(b *strings.Builder) {
	if len(p.Criteria) == 0 {
		b.WriteString("\nNo criteria: the run passes when it measured something that can be trusted.\n")
		return
	}
	b.WriteString("\nCriteria\n")
	for _, c := range p.Criteria {
		fmt.Fprintf(b, "  %s: %s", c.Severity, c.Check)
		if c.Name != c.Source {
			fmt.Fprintf(b, "  (%s)", c.Name)
		}
		if len(c.During) > 0 {
			fmt.Fprintf(b, " during %s", strings.Join(c.During, ", "))
		}
		if len(c.By) > 0 {
			fmt.Fprintf(b, " by %s", strings.Join(c.By, ", "))
		}
		if c.Window > 0 {
			fmt.Fprintf(b, " in windows of %s", c.Window)
		}
		if c.Met < 1 {
			fmt.Fprintf(b, ", met by %g %%", c.Met*100)
		}
		if c.For > 0 {
			fmt.Fprintf(b, ", a breach lasting %s", c.For)
		}
		if c.OnBreach != "none" {
			fmt.Fprintf(b, ", on breach: %s", c.OnBreach)
		}
		b.WriteString("\n")
	}
}
