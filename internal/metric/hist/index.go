package hist

import (
	"math"
	"time"
)

// Scale is the OpenTelemetry scale of the buckets: base = 2^(2^-Scale).
const Scale = 7

const (
	perOctave   = 1 << Scale // buckets per power of two
	mantissa    = 1<<52 - 1
	lutBits     = 8
	leastOctave = -30 // 1 ns lies between 2^-30 s and 2^-29 s
	octaves     = 64  // up to 2^34 s, beyond the largest int64 of nanoseconds
)

// bound[k] is the mantissa, as 52 bits of a fraction, of 2^(k/128): the lower edge of bucket k of an
// octave. start[m] is the bucket in which the mantissas with the leading bits m begin; as a bucket
// is wider than a cell of start, the right one is that or the next.
var (
	bound [perOctave + 1]uint64
	start [1 << lutBits]uint8
)

func init() {
	for k := range perOctave {
		bound[k] = math.Float64bits(math.Exp2(float64(k)/perOctave)) & mantissa
	}
	bound[perOctave] = mantissa + 1
	k := 0
	for m := range start {
		first := uint64(m) << (52 - lutBits)
		for bound[k+1] < first {
			k++
		}
		start[m] = uint8(k)
	}
}

// index returns the bucket of a positive number of nanoseconds: the i with base^i < seconds <= base^(i+1).
func index(ns uint64) int {
	bits := math.Float64bits(float64(ns) * 1e-9)
	octave := int(bits>>52) - 1023
	m := bits & mantissa
	k := int(start[m>>(52-lutBits)])
	for m > bound[k+1] {
		k++
	}
	if m == bound[k] {
		k-- // the edge belongs to the bucket below it
	}
	return octave*perOctave + k
}

// edge returns the lower edge of bucket i in seconds.
func edge(i int) float64 { return math.Exp2(float64(i) / perOctave) }

// middle returns the mid-point of bucket i in nanoseconds.
func middle(i int) time.Duration {
	ns := (edge(i) + edge(i+1)) / 2 * 1e9
	if ns >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(math.Round(ns))
}
