package metric

import "slices"

// UnhealthyNotSent is the cause of a second that is not valid because arrivals were not sent for
// reasons of the generator.
const UnhealthyNotSent = "not_sent"

// Charging is what a plan says about the arrivals that its in-flight caps hold back.
type Charging struct {
	Caps map[string]int64 // by phase, over the fleet
	Sent float64          // least share of the planned arrivals that must be sent
}

// Charge decides to whom the arrivals are charged for which a worker had no permit, and what that
// makes of the second's health. s must be merged of all that there is of the second, because no part
// of it can tell: a fleet whose peaks add up to the cap waited for the target, any other would have
// had permits left. It is a function of s alone, so that whoever asks and whenever gets one answer;
// what has been charged is not charged again.
func (s *Second) Charge(c Charging) {
	for key, row := range s.Arrivals {
		n, ok := row.NotSent[CauseNoPermit]
		if !ok {
			continue
		}
		delete(row.NotSent, CauseNoPermit)
		cause := CauseCapShare
		if s.Peaks[key.Phase] >= c.Caps[key.Phase] {
			cause = CauseMaxInFlight
		}
		row.NotSent[cause] += n
	}
	if h := s.SentHealth(c.Sent); h > HealthValid {
		s.Health = max(s.Health, h)
		if i, found := slices.BinarySearch(s.Causes, UnhealthyNotSent); !found {
			s.Causes = slices.Insert(s.Causes, i, UnhealthyNotSent)
		}
	}
}

// SentHealth judges how many of the planned arrivals the generator, and not the target or an order,
// held back; least is the share that must be sent.
func (s Second) SentHealth(least float64) Health {
	var planned, lost int64
	for _, row := range s.Arrivals {
		planned += row.Planned
		lost += row.NotSent[CauseLate] + row.NotSent[CauseNoLease] + row.NotSent[CauseCapShare] + row.NotSent[CauseOutboxFull]
	}
	switch {
	case lost == 0:
		return HealthValid
	case float64(lost) > (1-least)*float64(planned):
		return HealthInvalid
	}
	return HealthDegraded
}

// peak notes how many iterations of a phase were in flight at most.
func (s *Second) peak(phase string, n int64) {
	if s.Peaks == nil {
		s.Peaks = map[string]int64{}
	}
	s.Peaks[phase] = n
}
