package supervisor

import (
	"cmp"
	"errors"
	"slices"
	"testing"

	"proofload/internal/metric"
	"proofload/internal/result"
)

// segmentOf returns a segment with one arrival in each of the seconds.
func segmentOf(number uint64, seconds ...int64) result.Segment {
	g := metric.NewSegment("r1")
	for _, index := range seconds {
		s := metric.NewSecond(index)
		s.Arrivals[metric.ArrivalKey{Phase: "hold", Flow: "buy"}] = &metric.Arrivals{Planned: 1}
		g.Seconds[index] = &s
	}
	from, to := g.Span()
	return result.Segment{SegmentRef: result.SegmentRef{Number: number, From: from, To: to}, Data: metric.EncodeSegment(g)}
}

// TestBooksAreReadInTurn: every second is judged once, whole and in order, and by the time at which a
// segment is read all that ended before it has been let go, also when a worker delivers an hour late.
func TestBooksAreReadInTurn(t *testing.T) {
	const seconds, late = 3600, 100
	var all []result.Segment
	for i := range int64(seconds) {
		all = append(all, segmentOf(uint64(i+1), i))
	}
	for i := int64(0); i < seconds; i += late { // what another worker kept back comes at the end
		var chunk []int64
		for j := range int64(late) {
			chunk = append(chunk, i+j)
		}
		all = append(all, segmentOf(uint64(len(all)+1), append(chunk, seconds+i/late)...))
	}
	slices.SortStableFunc(all, func(a, b result.Segment) int { return cmp.Compare(a.From, b.From) })
	next := int64(0)
	err := inTurn(func(yield func(result.Segment, error) bool) {
		for _, g := range all {
			if held := g.From - next; held > 1 {
				t.Fatalf("%d seconds are held when segment %d of second %d is read", held, g.Number, g.From)
			}
			if !yield(g, nil) {
				return
			}
		}
	}, func(s *metric.Second) error {
		if s.Index != next {
			t.Fatalf("second %d after %d", s.Index, next-1)
		}
		next++
		want := int64(2)
		if s.Index >= seconds {
			want = 1
		}
		if got := s.Arrivals[metric.ArrivalKey{Phase: "hold", Flow: "buy"}].Planned; got != want {
			t.Fatalf("second %d has %d parts, want %d", s.Index, got, want)
		}
		return nil
	})
	if err != nil || next != seconds+seconds/late {
		t.Errorf("%d seconds, %v", next, err)
	}
}

// TestBooksThatCannotBeRead: what was read before an error counts, and the error is told.
func TestBooksThatCannotBeRead(t *testing.T) {
	gone := errors.New("blob is gone")
	damaged := segmentOf(3, 2)
	damaged.Data = damaged.Data[:len(damaged.Data)/2]
	for _, row := range []struct {
		third result.Segment
		err   error
		want  error
	}{{result.Segment{}, gone, gone}, {damaged, nil, metric.ErrCorrupt}} {
		read := 0
		err := inTurn(func(yield func(result.Segment, error) bool) {
			_ = yield(segmentOf(1, 0), nil) && yield(segmentOf(2, 1), nil) && yield(row.third, row.err)
		}, func(*metric.Second) error { read++; return nil })
		wantErr(t, err, row.want)
		if read != 2 {
			t.Errorf("%d seconds read before %v", read, err)
		}
	}
}
