package scenario

// distMap is the long form of a distribution: exactly one key.
type distMap struct {
	Constant    *Span         `yaml:"constant" one:"distribution"`
	Uniform     *uniformF     `yaml:"uniform" one:"distribution"`
	Exponential *exponentialF `yaml:"exponential" one:"distribution"`
	Normal      *normalF      `yaml:"normal" one:"distribution"`
	Lognormal   *lognormalF   `yaml:"lognormal" one:"distribution"`
}

type uniformF struct {
	Min Span `yaml:"min,required"`
	Max Span `yaml:"max,required"`
}

type exponentialF struct {
	Mean Span `yaml:"mean,required"`
}

type normalF struct {
	Mean   Span `yaml:"mean,required"`
	Stddev Span `yaml:"stddev,required"`
}

type lognormalF struct {
	Median Span `yaml:"median,required"`
	Sigma  Real `yaml:"sigma,required" is:"..10"`
}

func (f *DistF) decode(d *decoder, n *node) {
	f.At = n.pos
	if n.kind != mapNode {
		var s Span
		s.decode(d, n)
		f.Dist = Distribution{Kind: "constant", Value: s.Value}
		return
	}
	var m distMap
	d.decode(n, &m)
	switch {
	case m.Constant != nil:
		f.Dist = Distribution{Kind: "constant", Value: m.Constant.Value}
	case m.Uniform != nil:
		f.Dist = Distribution{Kind: "uniform", Min: m.Uniform.Min.Value, Max: m.Uniform.Max.Value}
		if m.Uniform.Min.Value > m.Uniform.Max.Value && !d.bare {
			d.fail(n.pos, "min is above max")
		}
	case m.Exponential != nil:
		f.Dist = Distribution{Kind: "exponential", Mean: m.Exponential.Mean.Value}
	case m.Normal != nil:
		f.Dist = Distribution{Kind: "normal", Mean: m.Normal.Mean.Value, Stddev: m.Normal.Stddev.Value}
	case m.Lognormal != nil:
		f.Dist = Distribution{Kind: "lognormal", Median: m.Lognormal.Median.Value, Sigma: m.Lognormal.Sigma.Value}
	}
}
