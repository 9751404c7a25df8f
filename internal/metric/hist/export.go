package hist

import "iter"

// What follows is for those that hand histograms on to OpenTelemetry (exponential histograms of scale 7)
// and to Prometheus (native histograms): all that these two need, nothing rounded.

// Bucket is one bucket: Count values v with base^Index < |v| <= base^(Index+1) seconds.
type Bucket struct {
	Index int
	Count uint64
}

// Buckets yields the buckets of positive values that hold anything, lowest first.
func (h *Histogram) Buckets() iter.Seq[Bucket] {
	if h.large == nil {
		return buckets(&h.positive, nil)
	}
	return buckets(&h.positive, &h.large.positive)
}

// NegativeBuckets yields the buckets of negative values by their magnitude, lowest index first.
func (h *Histogram) NegativeBuckets() iter.Seq[Bucket] {
	if h.large == nil {
		return buckets(h.negative, nil)
	}
	return buckets(h.negative, h.large.negative)
}

// buckets yields those of values and of large ones, which may share the one in which longest lies.
func buckets(near, far *pages) iter.Seq[Bucket] {
	return func(yield func(Bucket) bool) {
		var last Bucket
		if near != nil {
			for i, n := range near.ascending {
				if last.Count > 0 && !yield(last) {
					return
				}
				last = Bucket{i, n}
			}
		}
		if far != nil {
			for i, n := range far.ascending {
				if i += coarser * perOctave; last.Count > 0 && i == last.Index {
					last.Count += n
					continue
				}
				if last.Count > 0 && !yield(last) {
					return
				}
				last = Bucket{i, n}
			}
		}
		if last.Count > 0 {
			yield(last)
		}
	}
}

// ZeroCount returns how many values were zero.
func (h *Histogram) ZeroCount() uint64 { return h.zero }

// Bounds returns the edges of bucket i in seconds: lower exclusive, upper inclusive.
func Bounds(i int) (lower, upper float64) { return edge(i), edge(i + 1) }
