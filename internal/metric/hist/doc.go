// Package hist is the histogram in which every duration and every business value is kept: fixed
// exponential buckets of base 2^(1/128) over seconds, with integer counts and exact sums.
//
// It guarantees that merging is exact, commutative and associative, that count, mean and standard
// deviation are those of the raw values, and that a quantile is the value of rank ceil(q n) to
// within one bucket (0.54 % wide). The buckets are those of the OpenTelemetry exponential histogram
// of scale 7 (upper bound inclusive), so that it exports without loss. Nothing here is safe for
// concurrent use; owners serialise.
package hist
