package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"proofload/internal/scenario/quantity"
)

// Sizes of a chart. Across, everything is in percent of the width, so that a chart fills any screen
// while its text keeps its size; downwards it is in pixels.
const (
	plotTop     = 24
	plotHeight  = 150
	plotWidth   = 1000 // of the coordinates of paths
	maxColumns  = 360
	maxTooltips = 180
	timeTicks   = 6
	longest     = 1e9 // seconds; what claims to be longer is not drawn
)

// chart is one diagram over run time, ready for the template.
type chart struct {
	ID, Title, Summary string
	Legend             []legend
	Height, Top, Plot  int
	Bottom             int
	Values             []tick
	Times              []tick
	Bands              []band
	Shapes             []shape
	Marks              []mark
	Tips               []band
}

// legend explains one class of shapes.
type legend struct{ Class, Name string }

// tick is a labelled place on an axis: in percent across, in pixels down.
type tick struct{ At, Label, Anchor string }

// band is a stretch of time.
type band struct{ X, Width, Class, Title string }

// shape is a path in the coordinates of the plot.
type shape struct{ Class, Path string }

// mark is one event, or several that lie close together.
type mark struct{ X, Anchor, Label, Title string }

// curve is one quantity of a chart. An absent value interrupts it.
type curve struct {
	name, class string
	of          func(b *bucket) *float64
	bars        bool
	under       func(b *bucket) float64 // what bars stand on; nil: the axis
}

// base is what the bar of a column stands on.
func (c curve) base(b *bucket) float64 {
	if c.under == nil {
		return 0
	}
	return c.under(b)
}

func always(of func(b *bucket) float64) func(b *bucket) *float64 {
	return func(b *bucket) *float64 {
		v := of(b)
		return &v
	}
}

// diagram is what the charts of one report share.
type diagram struct {
	columns, tips []bucket
	end           float64 // seconds at the right edge
	marks         []mark
	bands         []band
	times         []tick
}

// newDiagram prepares the charts of d; nil when there is no timeline that can be drawn.
func newDiagram(d *Document) *diagram {
	g := &diagram{columns: buckets(d.Timeline, maxColumns), tips: buckets(d.Timeline, maxTooltips)}
	if len(g.columns) == 0 {
		return nil
	}
	g.end = g.columns[len(g.columns)-1].to
	g.end = min(g.end, d.Timeline.Points[len(d.Timeline.Points)-1].AtS+d.Timeline.IntervalS)
	if !(g.end > 0 && g.end < longest) {
		return nil
	}
	g.marks, g.bands, g.times = g.markEvents(d.Events), g.validityBands(), g.timeTicks()
	return g
}

// charts are those of the report, in their order.
func (g *diagram) charts() []chart {
	list := []chart{g.chart("load", "Load per second", "1/s", []curve{
		{name: "planned arrivals", class: "planned", of: always(func(b *bucket) float64 { return b.planned })},
		{name: "sent arrivals", class: "sent", of: always(func(b *bucket) float64 { return b.sent })},
		{name: "requests", class: "requests", of: always(func(b *bucket) float64 { return b.requests })},
	})}
	list[0].Legend = append(list[0].Legend, g.bandLegend()...) // the same in all of them
	response := g.chart("response", "Response time", "s", []curve{
		{name: "p50", class: "p50", of: func(b *bucket) *float64 { return b.p50 }},
		{name: "p99", class: "p99", of: func(b *bucket) *float64 { return b.p99 }},
	})
	failed := func(b *bucket) float64 { return b.errors }
	errors := g.chart("errors", "Errors and arrivals not sent, per second", "1/s", []curve{
		{name: "failed requests", class: "errors", of: always(failed), bars: true},
		{name: "arrivals not sent", class: "notsent", of: always(func(b *bucket) float64 { return b.notSent }), bars: true, under: failed},
	})
	inFlight := g.chart("inflight", "Iterations in flight", "", []curve{
		{name: "in flight at the end of the second", class: "sent", of: always(func(b *bucket) float64 { return b.inFlight })},
	})
	return append(list, response, errors, inFlight)
}

func (g *diagram) chart(id, title, unit string, curves []curve) chart {
	c := chart{ID: id, Title: title, Top: plotTop, Plot: plotHeight, Bottom: plotTop + plotHeight, Height: plotTop + plotHeight + 20, Bands: g.bands, Marks: g.marks, Times: g.times}
	s := scaleFor(g.columns, curves, unit)
	c.Values = s.ticks()
	if s.log {
		c.Title += " (logarithmic scale)"
	}
	for _, v := range curves {
		c.Legend = append(c.Legend, legend{v.class, v.name})
		if path := g.path(v, s); path != "" {
			c.Shapes = append(c.Shapes, shape{v.class, path})
		}
	}
	for i := range g.tips {
		b := &g.tips[i]
		c.Tips = append(c.Tips, band{X: g.x(b.from), Width: g.width(b.from, b.to), Title: b.String()})
	}
	c.Summary = g.summary(title, unit, curves)
	return c
}

// summary says the range of each curve, for those who hear the page.
func (g *diagram) summary(title, unit string, curves []curve) string {
	parts := []string{}
	for _, v := range curves {
		lo, hi := math.Inf(1), math.Inf(-1)
		for i := range g.columns {
			if p := v.of(&g.columns[i]); p != nil {
				lo, hi = min(lo, *p), max(hi, *p)
			}
		}
		if lo <= hi {
			parts = append(parts, fmt.Sprintf("%s from %s to %s", v.name, quantity.Value(lo, unit), quantity.Value(hi, unit)))
		}
	}
	return title + " over " + axisTime(g.end) + ": " + strings.Join(parts, "; ")
}

// path draws a curve: a line through the middles of the columns, or a bar for each.
func (g *diagram) path(v curve, s scale) string {
	var p strings.Builder
	open := false
	before := 0.0
	for i := range g.columns {
		b := &g.columns[i]
		at := v.of(b)
		if at == nil || (v.bars && *at == 0) {
			open = false
			continue
		}
		base := v.base(b)
		y := decimal(s.y(base + *at))
		if v.bars {
			foot := decimal(s.y(base))
			fmt.Fprintf(&p, "M%s %sV%sH%sV%sZ", g.px(b.from), foot, y, g.px(b.to), foot)
			continue
		}
		x := g.px((b.from + min(b.to, g.end)) / 2)
		switch {
		case !open || b.from > before+1e-9:
			fmt.Fprintf(&p, "M%s %sh.01", x, y)
		default:
			fmt.Fprintf(&p, "L%s %s", x, y)
		}
		open, before = true, b.to
	}
	return p.String()
}

// px is an instant in the coordinates of paths.
func (g *diagram) px(s float64) string { return decimal(plotWidth * min(s/g.end, 1)) }

// x is an instant in percent of the width.
func (g *diagram) x(s float64) string { return decimal(100*min(s/g.end, 1)) + "%" }

func (g *diagram) width(from, to float64) string {
	return decimal(100*(min(to, g.end)-from)/g.end) + "%"
}

// validityBands are the stretches in which the generator was at or near its limit.
func (g *diagram) validityBands() []band {
	var bands []band
	from := 0
	for i := 1; i <= len(g.columns); i++ {
		if i < len(g.columns) && g.columns[i].validity == g.columns[from].validity && g.columns[i].from == g.columns[i-1].to {
			continue
		}
		first, last := g.columns[from], g.columns[i-1]
		if first.validity != Valid {
			bands = append(bands, band{
				X: g.x(first.from), Width: g.width(first.from, last.to), Class: strings.ToLower(first.validity),
				Title: fmt.Sprintf("%s from %s to %s", first.validity, axisTime(first.from), axisTime(last.to)),
			})
		}
		from = i
	}
	return bands
}

func (g *diagram) bandLegend() []legend {
	var list []legend
	for _, l := range []legend{{"degraded", "generator near its limit"}, {"invalid", "generator was the limit"}} {
		for _, b := range g.bands {
			if b.Class == l.Class {
				list = append(list, l)
				break
			}
		}
	}
	return list
}

// markEvents places the events, except the starts of phases, which have a strip of their own. Those
// that lie too close together to be told apart share a mark.
func (g *diagram) markEvents(events []Event) []mark {
	var marks []mark
	last := -1.0
	for i, e := range events {
		if e.Kind == "phase" {
			continue
		}
		at := min(max(0, e.AtS), g.end)
		label, title := strconv.Itoa(i+1), fmt.Sprintf("%d. %s at %s: %s", i+1, e.Kind, axisTime(e.AtS), e.Detail)
		if last >= 0 && (at-last)/g.end < 0.04 {
			m := &marks[len(marks)-1]
			from, _, _ := strings.Cut(m.Label, "–")
			m.Label, m.Title = from+"–"+label, m.Title+"\n"+title
			continue
		}
		last = at
		marks = append(marks, mark{X: g.x(at), Anchor: anchor(at / g.end), Label: label, Title: title})
	}
	return marks
}

// timeTicks labels the time axis.
func (g *diagram) timeTicks() []tick {
	step := 1.0
	for _, candidate := range []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400, 1e6, 1e7, 1e8, 2e8} {
		step = candidate
		if g.end/step <= timeTicks {
			break
		}
	}
	var ticks []tick
	for at := 0.0; at <= g.end*0.97; at += step {
		ticks = append(ticks, tick{At: g.x(at), Label: axisTime(at), Anchor: anchor(at / g.end)})
	}
	return ticks
}

// anchor keeps text at the edges inside.
func anchor(share float64) string {
	switch {
	case share < 0.02:
		return "start"
	case share > 0.98:
		return "end"
	default:
		return "middle"
	}
}

func decimal(v float64) string { return trimNumber(strconv.FormatFloat(v, 'f', 2, 64)) }

func trimNumber(s string) string {
	if !strings.Contains(s, ".") {
		return s
	}
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}
