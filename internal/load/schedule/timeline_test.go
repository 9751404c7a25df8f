package schedule

import (
	"testing"
	"time"

	"proofload/internal/run"
	"proofload/internal/scenario"
)

const s = time.Second

func TestStarts(t *testing.T) {
	phases := []scenario.Phase{
		{Name: "first"},
		{Name: "later", At: 7 * s},
		{Name: "next", After: "first"},
		{Name: "beside", With: "next"},
		{Name: "undecided", After: "next"},
		{Name: "beside undecided", With: "undecided"},
		{Name: "around", With: "around"},
	}
	h := run.History{
		{Kind: run.ChangePause, At: 10 * s},
		{Kind: run.ChangeResume, At: 15 * s},
		{Kind: run.ChangePhaseStart, At: 20 * s, Phase: "next"},
		{Kind: run.ChangePhaseStart, At: 30 * s, Phase: "next"}, // a repeated command changes nothing
	}
	got := Starts(phases, run.NewTimeline(h))
	want := map[string]time.Duration{"first": 0, "later": 7 * s, "next": 15 * s, "beside": 15 * s}
	if len(got) != len(want) {
		t.Errorf("Starts = %v, want %v", got, want)
	}
	for name, at := range want {
		if got[name] != at {
			t.Errorf("%s starts at %v, want %v", name, got[name], at)
		}
	}
}
