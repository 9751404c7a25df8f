package metric

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestCharge(t *testing.T) {
	charging := Charging{Caps: map[string]int64{"p": 300}, Sent: 0.995}
	for _, tt := range []struct {
		name   string
		peaks  []int64 // of the workers
		held   int64   // of 1000 planned
		cause  Cause
		health Health
	}{
		{"all were full", []int64{100, 100, 100}, 500, CauseMaxInFlight, HealthValid},
		{"unevenly divided, and full", []int64{10, 290}, 500, CauseMaxInFlight, HealthValid},
		{"one was not", []int64{100, 100, 99}, 500, CauseCapShare, HealthInvalid},
		{"nobody told", nil, 500, CauseCapShare, HealthInvalid},
		{"few", []int64{100, 0, 0}, 5, CauseCapShare, HealthDegraded},
		{"none", []int64{100, 0, 0}, 0, CauseCapShare, HealthValid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := NewSecond(1)
			for _, n := range tt.peaks {
				s.Merge(Second{Peaks: map[string]int64{"p": n}})
			}
			row := &Arrivals{Planned: 1000, Sent: 1000 - tt.held}
			if tt.held > 0 {
				row.NotSent = map[Cause]int64{CauseNoPermit: tt.held}
			}
			s.Arrivals[ArrivalKey{"p", "f"}] = row
			s.Charge(charging)
			if row.NotSent[tt.cause] != tt.held || row.Withheld() != tt.held || s.Health != tt.health {
				t.Errorf("not sent %v, %v %v", row.NotSent, s.Health, s.Causes)
			}
			if slices.Contains(s.Causes, UnhealthyNotSent) != (tt.health != HealthValid) {
				t.Errorf("causes %v", s.Causes)
			}
		})
	}
}

// TestChargeLaws: charging loses no arrival, a second time changes nothing, and no part that comes
// with another order or grouping changes whom it charges.
func TestChargeLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		charging := Charging{Caps: map[string]int64{"a": 100, "b": 40}, Sent: 0.9}
		var parts []Second
		for range rapid.IntRange(1, 4).Draw(t, "parts") {
			s := drawSecond(t, 3)
			for _, row := range s.Arrivals {
				row.NotSent[CauseNoPermit] = rapid.Int64Range(0, 9).Draw(t, "no permit")
			}
			parts = append(parts, s)
		}
		merge := func(parts []Second) Second {
			sum := NewSecond(3)
			for _, s := range parts {
				sum.Merge(s)
			}
			return sum
		}
		plain, once := merge(parts), merge(parts)
		once.Charge(charging)
		for key, row := range plain.Arrivals {
			if got := once.Arrivals[key]; got.Withheld() != row.Withheld() || got.NotSent[CauseNoPermit] != 0 {
				t.Fatalf("%v became %v", row.NotSent, got.NotSent)
			}
		}
		slices.Reverse(parts)
		other := merge(parts)
		other.Charge(charging)
		other.Charge(charging)
		if !reflect.DeepEqual(once.Arrivals, other.Arrivals) || once.Health != other.Health || !slices.Equal(once.Causes, other.Causes) {
			t.Fatalf("%v %v, the other way %v %v", once.Health, once.Causes, other.Health, other.Causes)
		}
	})
}
