package judge

import (
	"fmt"
	"math"
)

// holds compares; the error is an unknown operator. What is not a number never holds.
func holds(op string, v, limit float64) (bool, error) {
	switch op {
	case "<":
		return v < limit, nil
	case "<=":
		return v <= limit, nil
	case ">":
		return v > limit, nil
	case ">=":
		return v >= limit, nil
	case "==":
		return v == limit, nil
	case "!=":
		return v < limit || v > limit, nil
	}
	return false, fmt.Errorf("unknown operator %q", op)
}

// upper tells whether op sets an upper limit.
func upper(op string) bool { return op == "<" || op == "<=" }

// worse returns the one of two values that is further from holding.
func worse(op string, limit, a, b float64) float64 {
	switch {
	case math.IsNaN(a):
		return b
	case math.IsNaN(b):
		return a
	case upper(op):
		return math.Max(a, b)
	case op == ">" || op == ">=":
		return math.Min(a, b)
	case op == "==" && math.Abs(b-limit) > math.Abs(a-limit), op == "!=" && math.Abs(b-limit) < math.Abs(a-limit):
		return b
	}
	return a
}

// finite returns v as a report can show it: nil for what is beyond every number.
func finite(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}
