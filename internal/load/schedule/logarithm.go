package schedule

import "math"

// logarithm returns the natural logarithm of x, which must be positive and finite. The standard
// library's is written in assembly for some processors and compiled with fused operations for
// others, so that its last bit differs between them; this one gives the same bits everywhere.
func logarithm(x float64) float64 {
	m, e := math.Frexp(x) // exact: x = m * 2^e, m in [0.5, 1)
	if m < math.Sqrt2/2 {
		m, e = m*2, e-1
	}
	// ln m = 2 artanh s with |s| < 0.172, so that a dozen terms of its series are exact to the last bit or two.
	s := (m - 1) / (m + 1)
	q := float64(s * s)
	sum := 0.0
	for i := len(artanh) - 1; i >= 0; i-- {
		sum = float64(float64(sum*q) + artanh[i])
	}
	return float64(float64(float64(e)*math.Ln2) + float64(s*sum))
}

// artanh holds the coefficients of 2 artanh(s)/s in powers of s squared.
var artanh = [...]float64{
	2, 2.0 / 3, 2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11, 2.0 / 13, 2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21, 2.0 / 23, 2.0 / 25,
}
