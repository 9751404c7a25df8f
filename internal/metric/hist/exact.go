package hist

import (
	"math/big"
	"math/bits"
)

// sum is a signed 128-bit integer in two's complement.
type sum struct{ hi, lo uint64 }

func (s *sum) add(o sum) {
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, o.lo, 0)
	s.hi, _ = bits.Add64(s.hi, o.hi, carry)
}

// product returns v*n.
func product(v int64, n uint64) sum {
	negative := v < 0
	hi, lo := bits.Mul64(magnitude(v), n)
	if negative {
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	return sum{hi, lo}
}

// magnitude returns |v|, also for the smallest int64.
func magnitude(v int64) uint64 {
	if v < 0 {
		return -uint64(v)
	}
	return uint64(v)
}

func (s sum) big() *big.Int {
	v := new(big.Int).SetUint64(s.hi)
	v.Lsh(v, 64).Add(v, new(big.Int).SetUint64(s.lo))
	if s.hi>>63 != 0 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), 128))
	}
	return v
}

// squares is an unsigned 192-bit integer.
type squares struct{ hi, mid, lo uint64 }

func (s *squares) add(o squares) {
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, o.lo, 0)
	s.mid, carry = bits.Add64(s.mid, o.mid, carry)
	s.hi, _ = bits.Add64(s.hi, o.hi, carry)
}

// square returns v*v*n.
func square(v int64, n uint64) squares {
	m := magnitude(v)
	hi, lo := bits.Mul64(m, m)
	carry, lo := bits.Mul64(lo, n)
	top, mid := bits.Mul64(hi, n)
	mid, c := bits.Add64(mid, carry, 0)
	return squares{top + c, mid, lo}
}

func (s squares) big() *big.Int {
	v := new(big.Int).SetUint64(s.hi)
	v.Lsh(v, 64).Add(v, new(big.Int).SetUint64(s.mid))
	return v.Lsh(v, 64).Add(v, new(big.Int).SetUint64(s.lo))
}
