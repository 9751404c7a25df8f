package agent

import (
	"testing"

	"proofload/internal/wire"
)

// TestFollow is the table of what is wanted after one more assignment: a later term's is never taken for
// an overtaken one because its leader counts from the beginning, and a stop is always heeded.
func TestFollow(t *testing.T) {
	const a, b = "a", "b"
	as := func(epoch int64, revision uint64, run string, goal wire.Goal) wire.Assignment {
		return wire.Assignment{Epoch: epoch, Revision: revision, Run: run, Goal: goal}
	}
	none := wire.Assignment{Epoch: 5}
	for name, row := range map[string]struct {
		now, next, want wire.Assignment
		news            bool
	}{
		"first":                                  {wire.Assignment{}, as(5, 1, a, wire.GoalPrepare), as(5, 1, a, wire.GoalPrepare), true},
		"newer revision":                         {as(5, 3, a, wire.GoalPrepare), as(5, 4, a, wire.GoalRun), as(5, 4, a, wire.GoalRun), true},
		"repeated after a reconnect":             {as(5, 3, a, wire.GoalRun), as(5, 3, a, wire.GoalRun), as(5, 3, a, wire.GoalRun), true},
		"overtaken":                              {as(5, 3, a, wire.GoalRun), as(5, 2, a, wire.GoalPrepare), as(5, 3, a, wire.GoalRun), false},
		"later term counts from the beginning":   {as(5, 30, a, wire.GoalRun), as(6, 1, a, wire.GoalRun), as(6, 1, a, wire.GoalRun), true},
		"stop of a later term":                   {as(5, 30, a, wire.GoalRun), as(6, 1, a, wire.GoalStop), as(6, 1, a, wire.GoalStop), true},
		"past term with a higher revision":       {as(6, 1, a, wire.GoalRun), as(5, 30, a, wire.GoalPrepare), as(6, 1, a, wire.GoalRun), false},
		"stop of a past term":                    {as(6, 1, a, wire.GoalRun), as(5, 30, a, wire.GoalStop), as(6, 1, a, wire.GoalStop), true},
		"stop that was overtaken":                {as(5, 3, a, wire.GoalRun), as(5, 2, a, wire.GoalStop), as(5, 3, a, wire.GoalStop), true},
		"second stop of a past term":             {as(6, 1, a, wire.GoalStop), as(5, 30, a, wire.GoalStop), as(6, 1, a, wire.GoalStop), false},
		"nothing takes a stop back":              {as(5, 3, a, wire.GoalStop), as(6, 1, a, wire.GoalRun), as(6, 1, a, wire.GoalStop), true},
		"nothing to do":                          {as(5, 3, a, wire.GoalStop), none, none, true},
		"nothing to do, in another cluster":      {as(50, 3, a, wire.GoalRun), none, none, true},
		"next run":                               {as(5, 9, a, wire.GoalStop), as(5, 1, b, wire.GoalPrepare), as(5, 1, b, wire.GoalPrepare), true},
		"stop of a past term for an earlier run": {as(6, 1, b, wire.GoalRun), as(5, 9, a, wire.GoalStop), as(6, 1, b, wire.GoalRun), false},
		"stop of a past term for a free worker":  {wire.Assignment{Epoch: 6}, as(5, 9, a, wire.GoalStop), wire.Assignment{Epoch: 6}, false},
	} {
		got, news := follow(row.now, row.next)
		if got.Epoch != row.want.Epoch || got.Revision != row.want.Revision || got.Run != row.want.Run || got.Goal != row.want.Goal || news != row.news {
			t.Errorf("%s: got %+v, news %v; want %+v, %v", name, got, news, row.want, row.news)
		}
	}
}
