package metric

// Trend is the line of least squares through all values of a metric over run time, each placed at the
// beginning of its second. It is what every trend is computed with, so that a criterion, the live
// view and the report agree. The zero value is empty; adding and merging are commutative up to rounding.
type Trend struct {
	origin float64 // times are kept from here, so that they stay small and keep their digits
	weight float64

	time, timeSquares, values, products float64 // sums, by weight
}

// Add takes in n values of one instant, in seconds of run time, by their sum.
func (t *Trend) Add(at, n, sum float64) {
	if t.weight == 0 {
		t.origin = at
	}
	x := at - t.origin
	t.weight += n
	t.time += n * x
	t.timeSquares += n * x * x
	t.values += sum
	t.products += x * sum
}

// Merge adds the values of o.
func (t *Trend) Merge(o Trend) {
	if t.weight == 0 {
		*t = o
		return
	}
	x := o.origin - t.origin
	t.weight += o.weight
	t.time += o.time + x*o.weight
	t.timeSquares += o.timeSquares + 2*x*o.time + x*x*o.weight
	t.values += o.values
	t.products += o.products + x*o.values
}

// Slope returns the rise per second; false when all values are of one second.
func (t *Trend) Slope() (float64, bool) {
	spread := t.weight*t.timeSquares - t.time*t.time
	if spread <= 0 {
		return 0, false
	}
	return (t.weight*t.products - t.time*t.values) / spread, true
}
