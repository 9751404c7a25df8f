package coordinator

import (
	"testing"
	"time"

	"proofload/internal/fleet"
)

// TestHearing proves when a leader counts as deaf: it has heard workers of runs in its term and none of them any
// more, or it has taken some over and never heard any.
func TestHearing(t *testing.T) {
	silent := fleet.Worker{Name: "a", Run: "r1", Met: true, Silent: deafAfter + 1}
	heard := fleet.Worker{Name: "b", Run: "r1", Met: true, Silent: time.Second, Connected: true}
	with := func(w fleet.Worker, change func(*fleet.Worker)) fleet.Worker { change(&w); return w }
	unmet := with(silent, func(w *fleet.Worker) { w.Met, w.Silent = false, deafFromStart+1 })
	for name, row := range map[string]struct {
		workers []fleet.Worker
		want    audible
	}{
		"no workers":                        {nil, unsure},
		"all are silent":                    {[]fleet.Worker{silent, with(silent, func(w *fleet.Worker) { w.Run = "r2" })}, noMore},
		"one is heard":                      {[]fleet.Worker{silent, heard}, hears},
		"silent for a moment":               {[]fleet.Worker{with(silent, func(w *fleet.Worker) { w.Silent = deafAfter })}, hears},
		"a free one is heard":               {[]fleet.Worker{silent, with(heard, func(w *fleet.Worker) { w.Run = "" })}, noMore},
		"only free ones are silent":         {[]fleet.Worker{with(silent, func(w *fleet.Worker) { w.Run = "" })}, unsure},
		"never heard, and for long":         {[]fleet.Worker{unmet, unmet}, never},
		"not heard yet":                     {[]fleet.Worker{with(unmet, func(w *fleet.Worker) { w.Silent = deafFromStart })}, unsure},
		"one of them has just been adopted": {[]fleet.Worker{unmet, with(unmet, func(w *fleet.Worker) { w.Silent = 0 })}, unsure},
		"never heard, and a free one is":    {[]fleet.Worker{unmet, with(heard, func(w *fleet.Worker) { w.Run = "" })}, never},
		"one was heard, others never":       {[]fleet.Worker{unmet, silent}, noMore},
		"one is heard, others never":        {[]fleet.Worker{unmet, heard}, hears},
		"it said goodbye":                   {[]fleet.Worker{with(silent, func(w *fleet.Worker) { w.Left = true })}, unsure},
		"one said goodbye, one is silent":   {[]fleet.Worker{silent, with(silent, func(w *fleet.Worker) { w.Left = true })}, noMore},
		"its stream stands, but it is mute": {[]fleet.Worker{with(silent, func(w *fleet.Worker) { w.Connected = true })}, noMore},
	} {
		if got := hearing(row.workers); got != row.want {
			t.Errorf("%s: hearing is %v, want %v", name, got, row.want)
		}
	}
}

// TestResignsOnceUnheard proves that leadership does not go round and round where no worker is left: whoever has
// resigned without hearing any stays the next time, until workers were heard.
func TestResignsOnceUnheard(t *testing.T) {
	var d deafness
	now := time.Now()
	for i, row := range []struct {
		heard bool
		after time.Duration
		want  bool
	}{{false, 0, true}, {false, time.Minute, false}, {true, 2 * time.Minute, true}, {false, 3 * time.Minute, false}, {false, 2*time.Minute + deafRest, true}} {
		if row.heard {
			d.heard()
		}
		if got := d.resigns(now.Add(row.after)); got != row.want {
			t.Errorf("step %d: it resigns: %v, want %v", i, got, row.want)
		}
	}
}

// TestResignsAgainAfterAnotherHeard proves that a coordinator which cannot hear the workers gives leadership up each
// time, when between its terms another one led for so long that it must have heard them.
func TestResignsAgainAfterAnotherHeard(t *testing.T) {
	begin := time.Now()
	for name, row := range map[string]struct {
		led  []time.Duration // how long the others led, one after the other
		want bool
	}{
		"nobody":                  {nil, false},
		"another for long":        {[]time.Duration{hearsFor}, true},
		"another for a moment":    {[]time.Duration{hearsFor - 1}, false},
		"two, each for a moment":  {[]time.Duration{hearsFor / 2, hearsFor / 2}, false},
		"two, the first for long": {[]time.Duration{hearsFor, time.Second}, true},
	} {
		var d deafness
		now := begin
		if !d.resigns(now) {
			t.Fatalf("%s: it does not resign at first", name)
		}
		for i, led := range row.led {
			d.follows(int64(i+2), now)
			d.follows(int64(i+2), now.Add(led/2)) // another candidate came or went
			now = now.Add(led)
		}
		d.follows(0, now)
		if got := d.resigns(now.Add(deafFromStart)); got != row.want {
			t.Errorf("%s: it resigns again: %v, want %v", name, got, row.want)
		}
	}
}
