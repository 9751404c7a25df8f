package run

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestRecordSurvivesItsEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRun()
		for n := range rapid.IntRange(0, 40).Draw(t, "steps") {
			r, _, _ = Step(r, drawEvent(t, r, n))
			if r.State.Final() {
				break
			}
		}
		data, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(data)
		if err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		if d := cmp.Diff(r, back); d != "" {
			t.Fatal(d)
		}
	})
}

func TestDecodeRefuses(t *testing.T) {
	good, err := newRun().Encode()
	if err != nil {
		t.Fatal(err)
	}
	change := func(old, put string) string {
		s := strings.Replace(string(good), old, put, 1)
		if s == string(good) {
			t.Fatalf("%q does not occur", old)
		}
		return s
	}
	for name, data := range map[string]string{
		"nothing":             "",
		"unknown field":       change(`"id"`, `"colour":1,"id"`),
		"more behind it":      string(good) + "{}",
		"no id":               change(`"r1"`, `""`),
		"unknown state":       change(`"IDLE"`, `"ASLEEP"`),
		"final, no verdict":   change(`"IDLE"`, `"COMPLETED"`),
		"running without T0":  change(`"IDLE"`, `"RUNNING"`),
		"stopping, no reason": change(`"IDLE"`, `"STOPPING"`),
		"factor of nothing":   change(`"factor":1`, `"factor":0`),
		"unknown task state":  change(`"pending"`, `"soon"`),
		"shards off the ring": change(`"shards":{"revision":0}`, `"shards":{"revision":1,"owners":[{"worker":"w","incarnation":1,"ranges":[{"from":0,"to":99999,"since":0}]}]}`),
	} {
		if _, err := Decode([]byte(data)); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestHistoryValidate(t *testing.T) {
	for name, h := range map[string]History{
		"resume first":     {{ID: "a", Kind: ChangeResume}},
		"pause in a pause": {{ID: "a", Kind: ChangePause}, {ID: "b", Kind: ChangePause, At: 1}},
		"back in time":     {{ID: "a", Kind: ChangePause, At: 2}, {ID: "b", Kind: ChangeResume, At: 1}},
		"no factor":        {{ID: "a", Kind: ChangeScale}},
		"no phase":         {{ID: "a", Kind: ChangePhaseStart}},
		"no id":            {{Kind: ChangePause}},
		"unknown":          {{ID: "a", Kind: "leap"}},
	} {
		if h.Validate() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestShardMap(t *testing.T) {
	m := shards(1)
	if m.Covered() != Positions || len(m.Ranges(Member{"w2", 2})) != 1 || m.Ranges(Member{"w2", 3}) != nil {
		t.Errorf("covered %d", m.Covered())
	}
	for name, bad := range map[string]ShardMap{
		"empty range":        {Owners: []Owner{{Member{"a", 1}, []Range{{From: 5, To: 5}}}}},
		"negative":           {Owners: []Owner{{Member{"a", 1}, []Range{{From: -1, To: 5}}}}},
		"beyond":             {Owners: []Owner{{Member{"a", 1}, []Range{{From: 0, To: Positions + 1}}}}},
		"owned twice":        {Owners: []Owner{{Member{"a", 1}, []Range{{From: 0, To: 5}, {From: 4, To: 6}}}}},
		"worker named twice": {Owners: []Owner{{Member: Member{"a", 1}}, {Member: Member{"a", 1}}}},
	} {
		if bad.Validate() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	c := m.clone()
	c.Owners[0].Ranges[0].Since = time.Hour
	if m.Owners[0].Ranges[0].Since != 0 {
		t.Error("a clone shares its ranges")
	}
}

func TestStoppedBy(t *testing.T) {
	for kind, want := range map[StopKind]string{
		StopCompleted: "", StopError: "", StopOperator: "operator", StopHalt: "halt", StopSignal: "signal",
		StopCriterion: "criterion", StopSafety: "safety", StopWorkerLoss: "worker_loss",
	} {
		if got := kind.StoppedBy(); got != want || !kind.Valid() {
			t.Errorf("%s: %q, want %q", kind, got, want)
		}
	}
}

// FuzzDecode: whatever is accepted is encoded to something equal, and steps do not panic on it.
func FuzzDecode(f *testing.F) {
	r := newRun()
	for _, ev := range append(toRunning, Event{Kind: PauseRequested, ID: "p", RunTime: time.Second}, Event{Kind: AllEnded}) {
		data, _ := r.Encode()
		f.Add(data)
		r, _, _ = Step(r, ev)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Decode(data)
		if err != nil {
			return
		}
		again, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(again)
		if err != nil {
			t.Fatalf("%v\n%s", err, again)
		}
		if d := cmp.Diff(r, back); d != "" {
			// An empty list and none are written alike; nothing else may differ.
			if third, _ := back.Encode(); string(third) != string(again) {
				t.Fatal(d)
			}
		}
		for _, kind := range EventKinds() {
			next, _, err := Step(r, Event{Kind: kind, Stop: StopOperator, Factor: 1, Phase: "p", Verdict: invalid, Shards: shards(1 << 62)})
			if err == nil {
				_ = Outstanding(next)
				_, _ = next.Times(time.Second)
			}
		}
	})
}
