package metric

import (
	"cmp"
	"maps"
	"slices"
)

// Verdict is what a ledger says of an offered batch.
type Verdict uint8

const (
	// Accept says that the batch is the next of its source: it is counted now.
	Accept Verdict = iota + 1
	// Duplicate says that the batch is counted already: it is dropped.
	Duplicate
	// Gap says that a batch before it is missing: it is refused, and the next one wanted is asked for.
	Gap
)

// Ledger keeps each batch counted once. For every source it knows the tentative mark, through which
// batches are in a segment, and the committed one, through which they are durable. The tentative
// mark never lies below the committed one. It is not safe for concurrent use.
type Ledger struct {
	tentative, committed map[Source]uint64
	duplicates           int64
}

// NewLedger returns a ledger that continues from committed marks.
func NewLedger(committed map[Source]uint64) *Ledger {
	l := &Ledger{tentative: map[Source]uint64{}, committed: map[Source]uint64{}}
	maps.Copy(l.tentative, committed)
	maps.Copy(l.committed, committed)
	return l
}

// Offer judges the batch seq of a source. When it is accepted, the caller puts it into the open
// segment before anything is sealed.
func (l *Ledger) Offer(s Source, seq uint64) Verdict {
	switch mark := l.tentative[s]; {
	case seq <= mark:
		l.duplicates++
		return Duplicate
	case seq > mark+1:
		return Gap
	}
	l.tentative[s] = seq
	return Accept
}

// Want returns the number of the batch that is wanted next from a source.
func (l *Ledger) Want(s Source) uint64 { return l.tentative[s] + 1 }

// Seal returns the marks that belong to the segment that is sealed now: they, and not those at the
// time of the transaction, are committed with it.
func (l *Ledger) Seal() map[Source]uint64 { return maps.Clone(l.tentative) }

// Commit notes that the marks returned by Seal are durable, and returns those that advanced. Marks
// read from the store after a lost reply are given in the same way.
func (l *Ledger) Commit(marks map[Source]uint64) map[Source]uint64 {
	advanced := map[Source]uint64{}
	for s, seq := range marks {
		if seq > l.committed[s] {
			l.committed[s] = seq
			advanced[s] = seq
		}
		l.tentative[s] = max(l.tentative[s], seq)
	}
	return advanced
}

// Committed returns through which batch a source is durable.
func (l *Ledger) Committed(s Source) uint64 { return l.committed[s] }

// Sources returns the committed marks of all sources.
func (l *Ledger) Sources() map[Source]uint64 { return maps.Clone(l.committed) }

// Duplicates returns how many batches were offered more than once.
func (l *Ledger) Duplicates() int64 { return l.duplicates }

// Hole is a range of batches that were sealed and never committed.
type Hole struct {
	Source   Source
	From, To uint64 // To is 0 when it is not known how many there were
}

// Holes compares the committed marks with the last batch that each source says it has sealed, and
// lists what is missing, in the order of the sources. A source that never said is in last with 0:
// all that came from it is there, but what it had besides is not known.
func (l *Ledger) Holes(last map[Source]uint64) []Hole {
	var holes []Hole
	for s, to := range last {
		if to == 0 || l.committed[s] < to {
			holes = append(holes, Hole{Source: s, From: l.committed[s] + 1, To: to})
		}
	}
	slices.SortFunc(holes, func(a, b Hole) int { return cmp.Or(a.Source.Compare(b.Source), cmp.Compare(a.From, b.From)) })
	return holes
}
