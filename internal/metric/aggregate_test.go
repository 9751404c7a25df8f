package metric

import (
	"bytes"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"proofload/internal/metric/hist"
)

// drawSegments draws segments over seconds that may lie far apart, so that the timeline has to grow.
func drawSegments(t *rapid.T) []*Segment {
	var all []*Segment
	for range rapid.IntRange(0, 4).Draw(t, "segments") {
		g := NewSegment("run")
		for i := range uint64(rapid.IntRange(1, 3).Draw(t, "batches")) {
			b := drawBatch(t, rapid.SampledFrom([]string{"w1", "w2"}).Draw(t, "worker"), i+1)
			b.Second.Index = rapid.SampledFrom([]int64{0, 1, 2, 3, MaxPoints - 1, MaxPoints, 3 * MaxPoints}).Draw(t, "second")
			g.Add(b, nil)
		}
		all = append(all, g)
	}
	return all
}

func aggregateOf(all []*Segment) *Aggregate {
	a := NewAggregate("run")
	for _, g := range all {
		a.AddSegment(g)
	}
	return a
}

// TestAggregateLaws proves on the bytes that neither the order of the segments nor a checkpoint
// between them, encoded or not, changes an aggregate.
func TestAggregateLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := drawSegments(t)
		want := aggregateOf(all).encode()
		if got := aggregateOf(rapid.Permutation(all).Draw(t, "order")).encode(); !bytes.Equal(got, want) {
			t.Error("another order gave another aggregate")
		}
		cut := rapid.IntRange(0, len(all)).Draw(t, "cut")
		before, after := aggregateOf(all[:cut]), aggregateOf(all[cut:])
		resumed, err := DecodeAggregate(EncodeAggregate(before))
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range all[cut:] {
			resumed.AddSegment(g)
		}
		if !bytes.Equal(resumed.encode(), want) {
			t.Error("a checkpoint changed the aggregate")
		}
		after.Merge(before)
		if !bytes.Equal(after.encode(), want) {
			t.Error("merging aggregates in the other order gave another one")
		}
	})
}

// TestAggregateTimeline adds more seconds than there are points and checks that none is lost.
func TestAggregateTimeline(t *testing.T) {
	const seconds = 2*MaxPoints + 3
	a := NewAggregate("run")
	for i := range int64(seconds) {
		s := NewSecond(i)
		h := hist.New()
		h.Record(time.Duration(i+1) * time.Millisecond)
		s.Add(Key{ResponseTime, NewLabels("outcome", "failed")}, Value{Hist: h})
		s.Arrivals[ArrivalKey{"p", "f"}] = &Arrivals{Sent: 1, InFlight: i}
		s.Paused = time.Millisecond
		g := NewSegment("run")
		g.Add(Batch{Source: Source{"w", 1}, Seq: uint64(i) + 1, Second: s}, nil)
		a.AddSegment(g)
	}
	if a.Interval() != 4 || len(a.Points) != (seconds+3)/4 || a.Seconds() != seconds*time.Second {
		t.Fatalf("%d points of %d s over %v", len(a.Points), a.Interval(), a.Seconds())
	}
	var requests, failed int64
	var response uint64
	for number, p := range a.Points {
		requests, failed, response = requests+p.Requests, failed+p.Failed, response+p.Response().Count()
		if last := min(number*4+3, seconds-1); p.Last != last || p.Arrivals.InFlight != last {
			t.Fatalf("point %d: last second %d, %d in flight, want %d of both", number, p.Last, p.Arrivals.InFlight, last)
		}
	}
	row := a.Total.Arrivals[ArrivalKey{"p", "f"}]
	if requests != seconds || failed != seconds || response != seconds || row.Sent != seconds {
		t.Errorf("requests %d failed %d response %d sent %d, want %d", requests, failed, response, row.Sent, seconds)
	}
	if row.InFlight != 0 || a.Total.Paused != 0 {
		t.Errorf("totals hold what is no sum: %d in flight, %v paused", row.InFlight, a.Total.Paused)
	}
}

func TestAggregateTakesAnySecond(t *testing.T) {
	a := NewAggregate("run")
	for _, index := range []int64{-5, math.MinInt64, math.MaxInt64, 7} {
		g := NewSegment("run")
		g.Add(Batch{Source: Source{"w", 1}, Seq: 1, Second: NewSecond(index)}, nil)
		a.AddSegment(g)
	}
	if len(a.Points) == 0 || len(a.Points) > 4 {
		t.Errorf("%d points", len(a.Points))
	}
	if _, err := DecodeAggregate(EncodeAggregate(a)); err != nil {
		t.Error(err)
	}
}
