package schedule

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"proofload/internal/scenario"
)

func TestUsersActive(t *testing.T) {
	tests := []struct {
		name     string
		segments []scenario.Segment
		factors  []Factor
		at       time.Duration
		want     int64
	}{
		{"hold", profile([3]float64{5, 5, 10}), nil, time.Second, 5},
		{"over", profile([3]float64{5, 5, 10}), nil, 10 * time.Second, 0},
		{"a share of a user is a user", profile([3]float64{2.5, 2.5, 10}), nil, 0, 3},
		{"no user out of rounding", profile([3]float64{0.1 * 3 * 10, 0.1 * 3 * 10, 10}), nil, 0, 3},
		{"ramp starts with the first", profile([3]float64{0, 500, 50}), nil, time.Millisecond, 1},
		{"ramp at its start", profile([3]float64{0, 500, 50}), nil, 0, 0},
		{"ramp half way", profile([3]float64{0, 500, 50}), nil, 25 * time.Second, 250},
		{"down", profile([3]float64{500, 0, 50}), nil, 49990 * time.Millisecond, 1},
		{"scaled", profile([3]float64{10, 10, 50}), []Factor{{20 * time.Second, 1.5}}, 30 * time.Second, 15},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := NewUsers(tt.segments, tt.factors).Active(tt.at); got != tt.want {
				t.Errorf("Active(%v) = %d, want %d", tt.at, got, tt.want)
			}
		})
	}
}

// TestUsersNext: between two instants that Next names, the number is constant.
func TestUsersNext(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkUsersNext(t, NewUsers(drawProfile(t), drawFactors(t)))
	})
}

func checkUsersNext(t *rapid.T, u *Users) {
	at := time.Duration(rapid.Int64Range(0, int64(u.Length())).Draw(t, "at"))
	n := u.Active(at)
	next, ok := u.Next(at)
	if !ok {
		next = u.Length()
		if n != u.Active(next) {
			t.Fatalf("active %d at %v and %d at the end, without a change", n, at, u.Active(next))
		}
	} else if next <= at || u.Active(next) == n {
		t.Fatalf("Next(%v) = %v: %d users and %d users", at, next, n, u.Active(next))
	}
	if next > at {
		between := at + time.Duration(rapid.Int64Range(0, int64(next-at)-1).Draw(t, "between"))
		if got := u.Active(between); got != n {
			t.Fatalf("%d users at %v, between %v and %v with %d", got, between, at, next, n)
		}
	}
}
