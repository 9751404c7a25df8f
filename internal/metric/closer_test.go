package metric

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestCloser(t *testing.T) {
	w1, w2 := Source{"w1", 1}, Source{"w2", 2}
	segment := func(parts map[Source]int64) *Segment {
		g := NewSegment("run")
		for source, second := range parts {
			s := NewSecond(second)
			s.Arrivals[ArrivalKey{"p", "f"}] = &Arrivals{Sent: 1}
			g.Add(Batch{Source: source, Seq: uint64(second) + 1, Second: s}, nil)
		}
		return g
	}
	c := NewCloser(0)
	owners := []Source{w1, w2}
	steps := []struct {
		parts map[Source]int64
		want  string
	}{
		{map[Source]int64{w1: 0}, "[]"},               // w2 is missing
		{map[Source]int64{w2: 0, w1: 1}, "[0:2]"},     // whole
		{map[Source]int64{w1: 2}, "[]"},               // one commit after the first part of 1
		{map[Source]int64{w1: 3}, "[1:1]"},            // two commits after: closed without w2
		{map[Source]int64{w2: 1}, "[2:1]"},            // an amendment of 1, and 2 has waited long enough
		{map[Source]int64{w1: 4, w2: 3}, "[3:2]"},     // whole again
		{map[Source]int64{w2: 4}, "[4:2]"},            //
		{map[Source]int64{w1: 5, w2: 5}, "[5:2]"},     //
		{map[Source]int64{w1: 6, {"w3", 3}: 6}, "[]"}, // w3 is no owner and w2 has not committed
		{nil, "[]"},    //
		{nil, "[6:2]"}, // two commits after, even of nothing
	}
	for i, step := range steps {
		var got []string
		for _, s := range c.Commit(segment(step.parts), owners) {
			got = append(got, fmt.Sprintf("%d:%d", s.Index, s.Arrivals[ArrivalKey{"p", "f"}].Sent))
		}
		if fmt.Sprint(got) != step.want {
			t.Errorf("commit %d closed %v, want %s", i, got, step.want)
		}
	}
	if c.Amendments() != 1 {
		t.Errorf("%d amendments, want 1", c.Amendments())
	}
}

// TestCloserPublishesOnce commits anything in any order and checks that each second is published at
// most once and in order, and that what was committed is either in a published second or an
// amendment.
func TestCloserPublishesOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sources := []Source{{"w1", 1}, {"w2", 2}, {"w3", 3}}
		row := ArrivalKey{"p", "f"}
		c := NewCloser(0)
		var committed, published int64
		last := int64(-1)
		take := func(seconds []Second) {
			for _, s := range seconds {
				if s.Index <= last {
					t.Fatalf("second %d after %d", s.Index, last)
				}
				last = s.Index
				published += s.Arrivals[row].Sent
			}
		}
		for range rapid.IntRange(0, 20).Draw(t, "commits") {
			g := NewSegment("run")
			for range rapid.IntRange(1, 3).Draw(t, "batches") {
				s := NewSecond(rapid.Int64Range(0, 8).Draw(t, "second"))
				s.Arrivals[row] = &Arrivals{Sent: 1}
				g.Add(Batch{Source: rapid.SampledFrom(sources).Draw(t, "source"), Seq: 1, Second: s}, nil)
			}
			parts := int64(0)
			for index, s := range g.Seconds {
				if index > last {
					parts += s.Arrivals[row].Sent
				}
			}
			committed += parts
			take(c.Commit(g, sources[:rapid.IntRange(0, 3).Draw(t, "owners")]))
			if c.Through() != last {
				t.Fatalf("through %d, published %d", c.Through(), last)
			}
		}
		for range 2 { // whatever is left has waited long enough then
			take(c.Commit(NewSegment("run"), nil))
		}
		if published != committed {
			t.Errorf("published %d of %d", published, committed)
		}
	})
}
