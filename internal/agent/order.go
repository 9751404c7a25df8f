package agent

import "proofload/internal/wire"

// follow returns what is wanted of the worker after next has come, and whether that is news. Assignments
// of a run are ordered by the epoch of their leader and then by their revision, because every leader
// counts its revisions anew. A stop is heeded whenever it was sent, and nothing takes it back.
func follow(now, next wire.Assignment) (wire.Assignment, bool) {
	past := next.Epoch < now.Epoch
	stop := next.Goal == wire.GoalStop
	if next.Run == "" || next.Run != now.Run {
		// A past leader's stop is of a run that this worker does not execute any more.
		if past && stop {
			return now, false
		}
		return next, true
	}
	if past || next.Epoch == now.Epoch && next.Revision < now.Revision {
		news := stop && now.Goal != wire.GoalStop
		if news {
			now.Goal, now.Stop = wire.GoalStop, next.Stop
		}
		return now, news
	}
	if now.Goal == wire.GoalStop {
		next.Goal = wire.GoalStop
		if next.Stop == (wire.Stop{}) || next.Stop.Kind == now.Stop.Kind && next.Stop.Order == (wire.Order{}) {
			next.Stop = now.Stop // also the one that tells more
		}
	}
	return next, true
}

// instruction identifies what an assignment says, so that the engine is told once.
type instruction struct {
	epoch    int64
	revision uint64
	goal     wire.Goal
}
