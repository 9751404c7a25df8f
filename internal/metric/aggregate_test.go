package metric

import (
	"bytes"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"proofload/internal/metric/hist"
)

func drawSegments(t *rapid.T) []*Segment {
	var all []*Segment
	for range rapid.IntRange(0, 4).Draw(t, "segments") {
		g := NewSegment("run")
		for i := range uint64(rapid.IntRange(1, 3).Draw(t, "batches")) {
			b := drawBatch(t, rapid.SampledFrom([]string{"w1", "w2"}).Draw(t, "worker"), i+1)
			b.Second.Index = rapid.SampledFrom([]int64{0, 1, 2, 3, 7200, 1 << 40}).Draw(t, "second")
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

// TestAggregateTotals: every count of every second is in the totals, whichever second it was, and what is no
// sum over time is not.
func TestAggregateTotals(t *testing.T) {
	a := NewAggregate("run")
	seconds := []int64{math.MinInt64, -5, 0, 1, 7, math.MaxInt64}
	for i, index := range seconds {
		s := NewSecond(index)
		h := hist.New()
		h.Record(time.Duration(i+1) * time.Millisecond)
		s.Add(Key{ResponseTime, NewLabels("outcome", "failed")}, Value{Hist: h})
		s.Arrivals[ArrivalKey{"p", "f"}] = &Arrivals{Sent: 1, InFlight: 4, Oldest: map[string]time.Duration{"s": time.Second}}
		s.Paused = time.Millisecond
		g := NewSegment("run")
		g.Add(Batch{Source: Source{"w", 1}, Seq: uint64(i) + 1, Second: s}, nil)
		a.AddSegment(g)
	}
	a, err := DecodeAggregate(EncodeAggregate(a))
	if err != nil {
		t.Fatal(err)
	}
	n := int64(len(seconds))
	requests, failed := a.Total.Requests()
	row := a.Total.Arrivals[ArrivalKey{"p", "f"}]
	if requests != n || failed != n || row.Sent != n || a.Parts[Source{"w", 1}].LastSeq != uint64(n) {
		t.Errorf("requests %d failed %d sent %d, want %d", requests, failed, row.Sent, n)
	}
	if row.InFlight != 0 || row.Oldest != nil || a.Total.Paused != 0 {
		t.Errorf("totals hold what is no sum: %d in flight, %v old, %v paused", row.InFlight, row.Oldest, a.Total.Paused)
	}
}
