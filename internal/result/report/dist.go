package report

import "encoding/json"

// Dist describes a distribution of durations in seconds. With a Count of 0 the others are null in
// JSON and zero here.
type Dist struct {
	Count  int64
	Mean   float64
	Stddev float64
	Min    float64
	Max    float64
	P50    float64
	P90    float64
	P95    float64
	P99    float64
	P999   float64
}

// distJSON is Dist as it is written.
type distJSON struct {
	Count  int64    `json:"count"`
	Mean   *float64 `json:"mean_s"`
	Stddev *float64 `json:"stddev_s"`
	Min    *float64 `json:"min_s"`
	Max    *float64 `json:"max_s"`
	P50    *float64 `json:"p50_s"`
	P90    *float64 `json:"p90_s"`
	P95    *float64 `json:"p95_s"`
	P99    *float64 `json:"p99_s"`
	P999   *float64 `json:"p999_s"`
}

// MarshalJSON writes nulls for what was not measured.
func (d Dist) MarshalJSON() ([]byte, error) {
	j := distJSON{Count: d.Count}
	if d.Count > 0 {
		j = distJSON{d.Count, &d.Mean, &d.Stddev, &d.Min, &d.Max, &d.P50, &d.P90, &d.P95, &d.P99, &d.P999}
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (d *Dist) UnmarshalJSON(data []byte) error {
	*d = Dist{}
	// A null replaces the pointer and leaves the field at zero.
	j := distJSON{0, &d.Mean, &d.Stddev, &d.Min, &d.Max, &d.P50, &d.P90, &d.P95, &d.P99, &d.P999}
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	d.Count = j.Count
	return nil
}
