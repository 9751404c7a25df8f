package scenario

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// RenderOptions say how a plan is written.
type RenderOptions struct {
	Workers int // for the shares
	// Counts returns how many arrivals an open phase has in each of its shapes; nil, or nothing: what follows
	// from the rates alone, which for poisson is about as many.
	Counts func(*Phase) []int64
}

// Render writes the plan in words: when what happens, how much of it, where it goes, and what must
// hold.
func (p *Plan) Render(w io.Writer, opts RenderOptions) error {
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
		fmt.Fprintf(&b, "  %s: %s%s\n", name, where, strings.Join(append([]string{""}, append(t.wayText(), t.dressText()...)...), "; "))
	}
	p.renderPhases(&b, opts)
	p.renderSearch(&b)
	p.renderCriteria(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// wayText says how a target is reached, as far as it is not by default.
func (t Target) wayText() []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if t.HTTP != "" {
		add("HTTP/%s", t.HTTP)
	}
	if s := t.TLS; s != nil {
		if s.CA != nil {
			add("authorities of %s", s.CA.Name)
		}
		if s.Cert != nil {
			add("client certificate %s", s.Cert.Name)
		}
		if s.ServerName != "" {
			add("as %s", s.ServerName)
		}
		if s.NoVerify {
			add("any certificate")
		}
	}
	if d := t.DNS; d != nil {
		if len(d.Addresses) > 0 {
			add("at %s", strings.Join(d.Addresses, ", "))
		} else {
			add("resolved every %s", d.Refresh)
		}
	}
	if c := t.Connections; c != nil {
		switch c.Reuse {
		case ReuseUser:
			add("connections of each user")
		case ReuseNever:
			add("a connection for each request")
		}
		if len(c.Source) > 0 {
			add("from %s", strings.Join(c.Source, ", "))
		}
	}
	return out
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

func (p *Plan) renderPhases(b *strings.Builder, opts RenderOptions) {
	b.WriteString("\nTimeline\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  phase\tfrom\tto\tmodel\tload\tarrivals\tper worker\tflows\tcap")
	for i := range p.Phases {
		ph := &p.Phases[i]
		start := p.Start(ph.Name)
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
		head := fmt.Sprintf("  %s\t%s\t%s", name, from, start+p.Lasts(ph))
		if len(ph.Rate) == 0 {
			fmt.Fprintf(t, "%s\tusers\t%s\t-\t-\t%s\t-\n", head, strings.Join(ph.texts(), ", "), mixText(ph.Mix))
			continue
		}
		ph.render(t, head, opts)
	}
	_ = t.Flush()
}

// render writes the rows of an open phase: one for each of its shapes, and one for all of them.
func (p *Phase) render(t io.Writer, head string, opts RenderOptions) {
	if p.Searched { // how many arrivals there will be, nobody knows
		fmt.Fprintf(t, "%s\t%s\t%s\t-\t-\t%s\t%d in flight\n", head, p.Arrivals, strings.Join(p.texts(), ", "), mixText(p.Mix), p.MaxInFlight)
		return
	}
	about := ""
	var counts []int64
	if opts.Counts != nil {
		counts = opts.Counts(p)
	}
	all := p.PlannedArrivals()
	if len(counts) > 0 {
		all = 0
		for _, n := range counts {
			all += n
		}
	} else if p.Arrivals == "poisson" {
		about = "about "
	}
	texts := p.texts()
	load := strings.Join(texts, ", ")
	perShape := len(texts) > 1 && len(counts) == len(texts)
	if perShape {
		load = fmt.Sprintf("%d shapes in a row", len(texts))
	}
	fmt.Fprintf(t, "%s\t%s\t%s\t%s%d\t%s%d\t%s\t%d in flight\n", head, p.Arrivals, load, about, all, about, all/int64(max(opts.Workers, 1)), mixText(p.Mix), p.MaxInFlight)
	if !perShape {
		return
	}
	start := p.Rate[0].Start
	i := 0
	EachShape(p.Shapes, p.Rate, func(s Shape, of []Segment) {
		end := start
		if n := len(of); n > 0 {
			end = of[n-1].Start + of[n-1].For
		}
		fmt.Fprintf(t, "    %s\t+%s\t+%s\t\t%s\t%d\t\t\t\n", s.Kind, start, end, texts[i], counts[i])
		start = end
		i++
	})
}

// texts returns the shapes of the phase in words.
func (p *Phase) texts() []string {
	var out []string
	EachShape(p.Shapes, slices.Concat(p.Rate, p.Users), func(s Shape, of []Segment) {
		if s.Text == "" { // of a plan that was not made from a file
			unit := FormatRate
			if len(p.Users) > 0 {
				unit = func(v float64) string { return fmt.Sprintf("%.0f", v) }
			}
			s.Text = fmt.Sprintf("%s to %s in %s", unit(of[0].From), unit(of[0].To), of[0].For)
		}
		out = append(out, s.Text)
	})
	return out
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
