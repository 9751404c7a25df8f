package report

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
)

//go:embed report.html.tmpl report.css
var assets embed.FS

// page is what the template reads. Everything in it comes from the Document.
type page struct {
	*Document
	Style          template.CSS
	Title          string
	Tone           string
	Headline       string
	Subtitle       string
	Tiles          []tile
	Checks         []check
	LoadTables     []table
	CriteriaTables []table
	SearchTable    table
	Percents       []percentileRow
	SeriesTable    table
	SlowestTables  []table
	ErrorTables    []table
	MeasureTables  []table
	EventTable     table
	FleetTables    []table
	Facts          [][2]string
	Lanes          []lane
	LaneHeight     int
	Charts         []chart
	TimelineTable  table
}

var pageTemplate = template.Must(template.New("report.html.tmpl").ParseFS(assets, "report.html.tmpl"))

// WriteHTML renders d as one page that needs no network and no script.
func WriteHTML(w io.Writer, d *Document) error {
	style, err := assets.ReadFile("report.css")
	if err != nil {
		return fmt.Errorf("write report %s as HTML: %w", d.Run.ID, err)
	}
	p := newPage(d)
	p.Style = template.CSS(style)
	if err := pageTemplate.Execute(w, p); err != nil {
		return fmt.Errorf("write report %s as HTML: %w", d.Run.ID, err)
	}
	return nil
}

func newPage(d *Document) page {
	p := page{
		Document: d, Title: d.Run.Name + ": " + d.Verdict.Result, Tone: toneOf(d.Verdict.Result),
		Headline: headline(d), Subtitle: subtitle(d), Tiles: tiles(d), Checks: checks(d),
		LoadTables: filled(phaseTable(d), notSentTable(d)), CriteriaTables: filled(criteriaTable(d), violationTable(d)),
		SearchTable: searchTable(d), Percents: percentileRows(d), SeriesTable: seriesTable(d), SlowestTables: filled(slowestTable(d)),
		ErrorTables: filled(errorTable(d), statusTable(d)), EventTable: eventTable(d),
		FleetTables: filled(workerTable(d), gapTable(d)), Facts: runFacts(d), TimelineTable: timelineTable(d),
	}
	for _, category := range categories(d) {
		p.MeasureTables = append(p.MeasureTables, filled(measureTable(d, category))...)
	}
	if g := newDiagram(d); g != nil {
		p.Charts = g.charts()
		p.Lanes = g.lanes(d.Phases)
		for _, l := range p.Lanes {
			p.LaneHeight = max(p.LaneHeight, l.Y+laneHeight)
		}
	}
	return p
}

// filled returns the tables that have rows.
func filled(tables ...table) []table {
	var list []table
	for _, t := range tables {
		if len(t.Rows) > 0 {
			list = append(list, t)
		}
	}
	return list
}

const laneHeight = 22

// lane is one phase in the strip above the charts; phases that overlap lie below each other.
type lane struct {
	band
	Y    int
	Name string
}

func (g *diagram) lanes(phases []Phase) []lane {
	var lanes []lane
	var ends []float64 // of each line of the strip
	for _, p := range phases {
		if p.ToS <= p.FromS {
			continue
		}
		line := 0
		for line < len(ends) && p.FromS < ends[line]-1e-6 {
			line++
		}
		if line == len(ends) {
			ends = append(ends, 0)
		}
		ends[line] = p.ToS
		l := lane{band: band{X: g.x(p.FromS), Width: g.width(p.FromS, p.ToS)}, Y: line * laneHeight, Name: p.Name}
		l.Title = fmt.Sprintf("%s from %s to %s", p.Name, axisTime(p.FromS), axisTime(p.ToS))
		if p.Warmup {
			l.Class, l.Title = "warmup", l.Title+", warm-up"
		}
		lanes = append(lanes, l)
	}
	return lanes
}

// percentileRow is a percentile with the places of its two dots on a common logarithmic scale.
type percentileRow struct {
	percentile
	ResponseX, ServiceX string
}

func percentileRows(d *Document) []percentileRow {
	list := percentiles(d)
	lo, hi := math.Inf(1), 0.0
	for _, p := range list {
		for _, v := range []float64{p.ResponseAt, p.ServiceAt} {
			if v > 0 {
				lo, hi = min(lo, v), max(hi, v)
			}
		}
	}
	at := func(v float64) string {
		if hi <= lo || v <= 0 {
			return "4%"
		}
		return decimal(4+92*math.Log(v/lo)/math.Log(hi/lo)) + "%"
	}
	rows := make([]percentileRow, len(list))
	for i, p := range list {
		rows[i] = percentileRow{p, at(p.ResponseAt), at(p.ServiceAt)}
	}
	return rows
}

// Sign is the sign beside a tone, so that nothing is told by colour alone.
func (p page) Sign(tone string) string {
	return strings.TrimSpace(map[string]string{toneGood: "✓", toneBad: "✕", toneWarn: "!", toneNeutral: "■"}[tone])
}
