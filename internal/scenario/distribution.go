package scenario

// distMap is the long form of a distribution: exactly one key.
type distMap struct {
	Constant    *Span         `yaml:"constant"`
	Uniform     *uniformF     `yaml:"uniform"`
	Exponential *exponentialF `yaml:"exponential"`
	Normal      *normalF      `yaml:"normal"`
	Lognormal   *lognormalF   `yaml:"lognormal"`
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
	Sigma  Real `yaml:"sigma,required"`
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
	switch d.oneOf(n.pos, "a distribution", map[string]bool{
		"constant": m.Constant != nil, "uniform": m.Uniform != nil, "exponential": m.Exponential != nil,
		"normal": m.Normal != nil, "lognormal": m.Lognormal != nil,
	}) {
	case "constant":
		f.Dist = Distribution{Kind: "constant", Value: m.Constant.Value}
	case "uniform":
		f.Dist = Distribution{Kind: "uniform", Min: m.Uniform.Min.Value, Max: m.Uniform.Max.Value}
		if m.Uniform.Min.Value > m.Uniform.Max.Value {
			d.fail(n.pos, "min is above max")
		}
	case "exponential":
		f.Dist = Distribution{Kind: "exponential", Mean: m.Exponential.Mean.Value}
	case "normal":
		f.Dist = Distribution{Kind: "normal", Mean: m.Normal.Mean.Value, Stddev: m.Normal.Stddev.Value}
	case "lognormal":
		f.Dist = Distribution{Kind: "lognormal", Median: m.Lognormal.Median.Value, Sigma: m.Lognormal.Sigma.Value}
		if m.Lognormal.Sigma.Value > 10 {
			d.fail(m.Lognormal.Sigma.At, "sigma %v is above 10", m.Lognormal.Sigma.Value)
		}
	}
}
