package metric

import "proofload/internal/metric/hist"

// packed is a value with its histogram encoded.
type packed struct {
	hist  []byte
	count int64
}

// plus returns the sum of p and v; its bytes are shared with nothing.
func (p packed) plus(v Value) packed {
	p.count += v.Count
	if v.Hist == nil {
		return p
	}
	h := p.histogram()
	if h == nil {
		h = v.Hist
	} else {
		h.Merge(v.Hist)
	}
	p.hist = h.AppendBinary(nil)
	return p
}

// histogram returns what was encoded, nil if nothing was.
func (p packed) histogram() *hist.Histogram {
	if p.hist == nil {
		return nil
	}
	h := hist.New()
	if err := h.UnmarshalBinary(p.hist); err != nil {
		panic("metric: a histogram encoded here does not decode: " + err.Error())
	}
	return h
}
