package flow

import (
	"time"

	"proofload/internal/scenario"
)

// span returns how long the action of a script waits, which is of the iteration's identity.
func (it *Iteration) span(s *Step, action int, d *scenario.Distribution) time.Duration {
	return it.ID.Draw.Named("wait").Child(uint64(s.Index)).Child(uint64(action)).Duration(*d)
}

// resting begins a wait, returns when it ends, and tells the sink that nothing is awaited until then.
func (it *Iteration) resting(d time.Duration) time.Time {
	now, wall := it.Clock.Both()
	it.exchange.stream.waited += d
	it.Sink.Began("", now+d)
	return wall.Add(d)
}

// awaiting tells the sink that a step's answer is awaited again.
func (it *Iteration) awaiting(s *Step) { it.Sink.Began(s.Name, it.Clock.Now()) }

// asking notes that the script sends, and returns since when: the next reply counts from here.
func (s *stream) asking() time.Time {
	s.asked, s.rested = time.Now(), s.waited
	return s.asked
}

// expecting notes that the script awaits a message, and returns since when. If it has sent nothing since the last
// reply, the next one counts from here.
func (s *stream) expecting() time.Time {
	if s.asked.IsZero() {
		return s.asking()
	}
	return time.Now()
}

// replied tells the sink how long the message took that was expected and came at an instant. Of TCP it may have come
// before it was asked for.
func (it *Iteration) replied(s *Step, at time.Time) {
	x := &it.exchange.stream
	it.Sink.Timed(s, TimingReply, max(at.Sub(x.asked), 0), it.Clock.Now())
	x.asked = time.Time{}
}
