package scenario

import (
	"math"
	"time"
)

// programEnd is what an execution takes at most from being killed until its output is read.
const programEnd = 2 * time.Second

// StopTime is how long work in flight may go on at most when its run was stopped or its worker leaves, whatever time its
// operations have.
const StopTime = DefaultTimeout + time.Second

// Killed is how long the step's program may take from being asked to end until its output is read; 0: it has none.
func (s *Step) Killed() time.Duration {
	if s.Program == nil {
		return 0
	}
	return plus(s.Program.KillAfter, programEnd)
}

// Killed is how long any program of the plan may take from being asked to end until its output is read; 0: it has none.
func (p *Plan) Killed() (longest time.Duration) {
	for _, f := range p.Flows {
		for i := range f.Steps {
			longest = max(longest, f.Steps[i].Killed())
		}
	}
	return longest
}

// Longest is how long one iteration of the flow may take: every operation until its timeout, every repetition, and
// every pause. Of a distribution without an upper end it is what fewer than one draw in a million exceed.
func (f Flow) Longest() time.Duration {
	var sum time.Duration
	for i := range f.Steps {
		sum = plus(sum, f.Steps[i].longest())
	}
	return sum
}

// Longest is how long one iteration of the phase may take.
func (p *Plan) Longest(phase *Phase) time.Duration {
	var longest time.Duration
	for _, w := range phase.Mix {
		longest = max(longest, p.Flows[w.Flow].Longest())
	}
	return longest
}

func (s *Step) longest() time.Duration {
	if s.Think != nil {
		return s.Think.Longest()
	}
	one := s.attempt()
	if s.Retry == nil {
		return one
	}
	times := min(float64(s.Retry.Times)*float64(plus(one, s.Retry.Backoff)), float64(maxSpan))
	return plus(one, time.Duration(times))
}

// plus adds two durations, neither of which is above maxSpan; nor is what it returns.
func plus(a, b time.Duration) time.Duration { return min(a+b, maxSpan) }

// attempt is how long the operation of the step may take once.
func (s *Step) attempt() time.Duration {
	switch {
	case s.GRPC != nil:
		return max(s.Timeout, s.GRPC.CloseAfter)
	case s.WebSocket != nil:
		return plus(plus(s.Timeout, s.Timeout), s.spoken(s.WebSocket.Script)) // it is opened, and closed
	case s.Socket != nil:
		return plus(s.Timeout, s.spoken(s.Socket.Script))
	case s.Program != nil:
		return plus(s.Timeout, s.Killed())
	}
	return s.Timeout
}

// spoken is how long a script may take.
func (s *Step) spoken(script []Action) time.Duration {
	var sum time.Duration
	for _, a := range script {
		took := s.Timeout
		switch {
		case a.Wait != nil:
			took = plus(took, a.Wait.Longest()) // a message that has begun to come is awaited
		case a.Expect != nil && a.Expect.Timeout > 0:
			took = a.Expect.Timeout
		}
		sum = plus(sum, took)
	}
	return sum
}

// Longest is the largest duration of the distribution, or what fewer than one draw in a million exceed.
func (d *Distribution) Longest() time.Duration {
	const (
		exponentials = 14 // exp(-14) is less than a millionth
		deviations   = 5
	)
	var ns float64
	switch d.Kind {
	case "uniform":
		return d.Max
	case "exponential":
		ns = exponentials * float64(d.Mean)
	case "normal":
		ns = float64(d.Mean) + deviations*float64(d.Stddev)
	case "lognormal":
		ns = float64(d.Median) * math.Exp(deviations*d.Sigma)
	default:
		return d.Value
	}
	return time.Duration(min(ns, float64(maxSpan)))
}
