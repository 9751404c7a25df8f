package metric

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestLedgerCountsOnce drives a ledger with any mixture of deliveries, seals, commits and take-overs
// and checks that every batch that is committed is in exactly one committed segment.
func TestLedgerCountsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		source := Source{"w", 1}
		ledger := NewLedger(nil)
		var open, durable []uint64
		var sealed []uint64
		var marks map[Source]uint64
		t.Repeat(map[string]func(*rapid.T){
			"deliver": func(t *rapid.T) {
				seq := rapid.Uint64Range(1, 12).Draw(t, "seq")
				if ledger.Offer(source, seq) == Accept {
					open = append(open, seq)
				}
			},
			"seal": func(t *rapid.T) {
				if marks == nil {
					sealed, marks, open = open, ledger.Seal(), nil
				}
			},
			"commit": func(t *rapid.T) {
				if marks != nil {
					ledger.Commit(marks)
					durable = append(durable, sealed...)
					sealed, marks = nil, nil
				}
			},
			"take-over": func(t *rapid.T) {
				ledger = NewLedger(ledger.Sources())
				open, sealed, marks = nil, nil, nil
			},
			"": func(t *rapid.T) {
				for i, seq := range durable {
					if seq != uint64(i)+1 {
						t.Fatalf("committed batches are %v", durable)
					}
				}
				if got := ledger.Committed(source); got != uint64(len(durable)) {
					t.Fatalf("committed mark %d, committed batches %v", got, durable)
				}
			},
		})
	})
}

func TestLedgerHoles(t *testing.T) {
	w1, w1again, w2, silent := Source{"w1", 1}, Source{"w1", 9}, Source{"w2", 2}, Source{"w3", 3}
	l := NewLedger(map[Source]uint64{w1: 4, w2: 7, silent: 2})
	if got := l.Offer(w1again, 2); got != Gap || l.Want(w1again) != 1 {
		t.Errorf("offer out of order: %v, wants %d", got, l.Want(w1again))
	}
	if got := l.Offer(w1, 5); got != Accept {
		t.Errorf("offer: %v", got)
	}
	got := l.Holes(map[Source]uint64{w2: 7, silent: 0, w1again: 3, w1: 5})
	want := []Hole{{w1, 5, 5}, {w1again, 1, 3}, {silent, 3, 0}}
	if !slices.Equal(got, want) {
		t.Errorf("holes %v, want %v", got, want)
	}
}

// TestLedgerAdoptsMarks shows that marks read from the store count as taken: the reply was lost, the
// commit was not.
func TestLedgerAdoptsMarks(t *testing.T) {
	s := Source{"w", 1}
	l := NewLedger(nil)
	l.Commit(map[Source]uint64{s: 3})
	if got := l.Offer(s, 3); got != Duplicate || l.Duplicates() != 1 {
		t.Errorf("offer of a committed batch: %v", got)
	}
	if advanced := l.Commit(map[Source]uint64{s: 2}); len(advanced) != 0 || l.Committed(s) != 3 {
		t.Errorf("a mark went back: %v, %d", advanced, l.Committed(s))
	}
}
