package coordinator

import (
	"testing"
	"time"

	"proofload/internal/fleet"
)

// TestHearsNobody proves when a leader counts as deaf: only when it has heard workers of runs in its term, and
// none of them any more.
func TestHearsNobody(t *testing.T) {
	silent := fleet.Worker{Name: "a", Run: "r1", Met: true, Silent: deafAfter + 1}
	heard := fleet.Worker{Name: "b", Run: "r1", Met: true, Silent: time.Second, Connected: true}
	with := func(w fleet.Worker, change func(*fleet.Worker)) fleet.Worker { change(&w); return w }
	for name, row := range map[string]struct {
		workers []fleet.Worker
		want    bool
	}{
		"no workers":                        {nil, false},
		"all are silent":                    {[]fleet.Worker{silent, with(silent, func(w *fleet.Worker) { w.Run = "r2" })}, true},
		"one is heard":                      {[]fleet.Worker{silent, heard}, false},
		"silent for a moment":               {[]fleet.Worker{with(silent, func(w *fleet.Worker) { w.Silent = deafAfter })}, false},
		"a free one is heard":               {[]fleet.Worker{silent, with(heard, func(w *fleet.Worker) { w.Run = "" })}, true},
		"only free ones are silent":         {[]fleet.Worker{with(silent, func(w *fleet.Worker) { w.Run = "" })}, false},
		"never heard in this term":          {[]fleet.Worker{with(silent, func(w *fleet.Worker) { w.Met = false })}, false},
		"it said goodbye":                   {[]fleet.Worker{with(silent, func(w *fleet.Worker) { w.Left = true })}, false},
		"one said goodbye, one is silent":   {[]fleet.Worker{silent, with(silent, func(w *fleet.Worker) { w.Left = true })}, true},
		"its stream stands, but it is mute": {[]fleet.Worker{with(silent, func(w *fleet.Worker) { w.Connected = true })}, true},
	} {
		if got := hearsNobody(row.workers); got != row.want {
			t.Errorf("%s: deaf is %v, want %v", name, got, row.want)
		}
	}
}
