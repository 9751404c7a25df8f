package report

import (
	"fmt"
	"math"
	"strings"

	"proofload/internal/scenario/quantity"
)

// columns of a chart and rows of its table are a few points of the timeline each: rates are means,
// percentiles and validity those of the worst point, so that nothing bad disappears.
type bucket struct {
	from, to                                    float64
	planned, sent, notSent, requests, errors    float64 // per second
	inFlight                                    float64
	p50, p99                                    *float64
	validity                                    string
	plannedN, sentN, notSentN, requestN, errorN int64
	length                                      float64 // seconds that the bucket's points cover
}

// buckets divides the timeline into at most limit columns.
func buckets(t Timeline, limit int) []bucket {
	if len(t.Points) == 0 || t.IntervalS <= 0 {
		return nil
	}
	last := t.Points[len(t.Points)-1].AtS
	width := t.IntervalS * math.Ceil((last/t.IntervalS+1)/float64(limit))
	var list []bucket
	for _, p := range t.Points {
		from := math.Floor(p.AtS/width) * width
		if len(list) == 0 || list[len(list)-1].from != from {
			list = append(list, bucket{from: from, to: from + width, validity: Valid})
		}
		list[len(list)-1].add(p, t.IntervalS)
	}
	for i := range list {
		list[i].rates()
	}
	return list
}

func (b *bucket) add(p Point, interval float64) {
	b.length += interval
	b.plannedN += p.Planned
	b.sentN += p.Sent
	b.notSentN += p.NotSent
	b.requestN += p.Requests
	b.errorN += p.Errors
	b.inFlight = max(b.inFlight, float64(p.InFlight))
	b.p50, b.p99 = worse(b.p50, p.ResponseTime.P50S), worse(b.p99, p.ResponseTime.P99S)
	if p.Validity == Invalid || b.validity == Valid {
		b.validity = p.Validity
	}
}

func (b *bucket) rates() {
	rate := func(n int64) float64 { return float64(n) / b.length }
	b.planned, b.sent, b.notSent = rate(b.plannedN), rate(b.sentN), rate(b.notSentN)
	b.requests, b.errors = rate(b.requestN), rate(b.errorN)
}

// worse returns the larger of two values of which either may be absent.
func worse(a, b *float64) *float64 {
	if a == nil || (b != nil && *b > *a) {
		return b
	}
	return a
}

// String tells everything about a column in one line.
func (b *bucket) String() string {
	parts := []string{
		fmt.Sprintf("%s to %s", axisTime(b.from), axisTime(b.to)), "planned " + quantity.Value(b.planned, "1/s"), "sent " + quantity.Value(b.sent, "1/s"),
		"requests " + quantity.Value(b.requests, "1/s"), "errors " + quantity.Value(b.errors, "1/s"),
		"p50 " + optional(b.p50, "s"), "p99 " + optional(b.p99, "s"),
	}
	if b.validity != Valid {
		parts = append(parts, b.validity)
	}
	return strings.Join(parts, ", ")
}

// timelineTable is the timeline for those who cannot or do not want to see charts.
func timelineTable(d *Document) table {
	t := table{Caption: "Timeline; percentiles are those of the worst second of each row", Columns: []column{
		number("From"), number("To"), number("Planned"), number("Sent"), number("Not sent"), number("Requests"), number("Errors"),
		number("In flight"), number("p50"), number("p99"), text("Validity"),
	}}
	for _, b := range buckets(d.Timeline, 60) {
		t.add(axisTime(b.from), axisTime(b.to), quantity.Integer(b.plannedN), quantity.Integer(b.sentN), quantity.Integer(b.notSentN), quantity.Integer(b.requestN), quantity.Integer(b.errorN),
			quantity.Digits(b.inFlight), optional(b.p50, "s"), optional(b.p99, "s"), b.validity)
		t.Rows[len(t.Rows)-1][10].Tone = toneOf(b.validity)
	}
	return t
}

// axisTime renders run time as on a watch: 0:05, 12:30, 1:02:30.
func axisTime(s float64) string {
	n := int64(math.Round(s))
	if n < 3600 {
		return fmt.Sprintf("%d:%02d", n/60, n%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", n/3600, n/60%60, n%60)
}
