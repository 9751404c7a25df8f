package schedule

// Draw is a source of random numbers addressed by who asks and for what, instead of by order: the
// same address gives the same numbers on every machine and in every run with the same seed. It is a
// value; drawing from it changes nothing, so it may be shared freely.
type Draw struct{ key uint64 }

// golden is the odd number nearest to 2^64 divided by the golden ratio; its multiples are spread
// evenly over the 64-bit numbers.
const golden = 0x9e3779b97f4a7c15

// NewDraw returns the root of the draws of one phase.
func NewDraw(seed uint64, phase string) Draw {
	key := mix(seed + golden)
	for i := range len(phase) {
		key = mix(key ^ (uint64(phase[i])+1)*golden)
	}
	return Draw{mix(key ^ uint64(len(phase)))}
}

// Child returns the draws of the n-th thing below d: a shard of a phase, an arrival of a shard, a
// purpose within an arrival.
func (d Draw) Child(n uint64) Draw {
	return Draw{mix(mix(d.key^golden) + (n+1)*golden)}
}

// Named returns the draws of the thing called name below d.
func (d Draw) Named(name string) Draw {
	key := mix(d.key + golden)
	for i := range len(name) {
		key = mix(key ^ (uint64(name[i])+1)*golden)
	}
	return Draw{mix(key ^ uint64(len(name)))}
}

// Uint64 returns the n-th number of d, uniform over all 64-bit numbers.
func (d Draw) Uint64(n uint64) uint64 { return mix(d.key + (n+1)*golden) }

// Float64 returns the n-th number of d, uniform over [0, 1).
func (d Draw) Float64(n uint64) float64 { return float64(d.Uint64(n)>>11) / (1 << 53) }

// Exponential returns the n-th number of d, exponential with mean 1; it is never negative nor infinite.
func (d Draw) Exponential(n uint64) float64 {
	// 1 to 2^53 over 2^53: never zero, so that the logarithm is finite.
	return -logarithm(float64(d.Uint64(n)>>11+1) / (1 << 53))
}

// Source returns the numbers of d one after the other, as a source for math/rand/v2.
func (d Draw) Source() *Source { return &Source{draw: d} }

// Source walks through the numbers of a Draw. It is not safe for use by several goroutines at once.
type Source struct {
	draw Draw
	n    uint64
}

// Uint64 returns the next number.
func (s *Source) Uint64() uint64 {
	u := s.draw.Uint64(s.n)
	s.n++
	return u
}

// Reset starts s over at the first number of d.
func (s *Source) Reset(d Draw) { s.draw, s.n = d, 0 }

// mix is a bijection on 64-bit numbers in which each bit of the input decides about half of the
// bits of the output: the finaliser of SplitMix64.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
