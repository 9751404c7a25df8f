package supervisor

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"proofload/internal/run"
)

// TestCut: the pieces follow each other and are all there is, whatever the capacities.
func TestCut(t *testing.T) {
	for _, row := range []struct {
		capacities []float64
		want       []piece
	}{
		{[]float64{1, 1}, []piece{{0, 5}, {5, 10}}},
		{[]float64{3, 1}, []piece{{0, 8}, {8, 10}}},
		{[]float64{1, 0.001}, []piece{{0, 10}, {10, 10}}},
		{[]float64{0, 1}, []piece{{0, 0}, {0, 10}}},
		{[]float64{0, 0}, []piece{{0, 5}, {5, 10}}},
	} {
		var shares []share
		for _, c := range row.capacities {
			shares = append(shares, share{capacity: c})
		}
		for i, got := range cut(shares, 10) {
			if got != row.want[i] {
				t.Errorf("capacities %v: piece %d is %v, want %v", row.capacities, i, got, row.want[i])
			}
		}
	}
}

// TestWorkerTooSmallForAPart: one whose share of the ring rounds to nothing is no part of the run and
// does not keep it from passing.
func TestWorkerTooSmallForAPart(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		r.fleet.join("b", 11).capacity = 1e-6
		r.create("r1", 0)
		rec, d := r.ended2("r1")
		if rec.Verdict.Result != run.Pass || len(d.Integrity.Workers) != 1 || len(d.Integrity.Gaps) != 0 {
			t.Errorf("%+v, integrity %+v", rec.Verdict, d.Integrity)
		}
		if w := r.fleet.get("b"); len(w.nacks) != 0 {
			t.Errorf("told %+v", w.nacks)
		}
	})
}

// fleetOf is so many equal workers.
func fleetOf(n int) []share {
	var out []share
	for i := range n {
		out = append(out, share{run.Member{Worker: fmt.Sprintf("worker-%04d", i), Incarnation: int64(i) + 1}, 1})
	}
	return out
}

// TestReassign: whatever comes and goes, every position has one owner at each time, everybody has about its part,
// what the dead had is not handed over by them, and what the living give away they give up to the time from
// which others have it.
func TestReassign(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := fleetOf(12)
		for i := range all {
			all[i].capacity = float64(rapid.IntRange(1, 4).Draw(t, "capacity"))
		}
		here := slices.Clone(all[:rapid.IntRange(1, 4).Draw(t, "workers")])
		waiting := slices.Clone(all[len(here):])
		m := run.ShardMap{Revision: 1, Owners: divide(here)}
		at := time.Second
		for range rapid.IntRange(1, 12).Draw(t, "changes") {
			var dead []run.Member
			switch kind := rapid.IntRange(0, 2).Draw(t, "kind"); {
			case kind == 0 && len(waiting) > 0:
				here, waiting = append(here, waiting[0]), waiting[1:]
			case len(here) > 1:
				leaver := rapid.IntRange(0, len(here)-1).Draw(t, "who")
				if kind == 1 {
					dead = append(dead, here[leaver].member)
				}
				here = slices.Delete(here, leaver, leaver+1)
			}
			before := m
			at += time.Duration(rapid.IntRange(1, 100).Draw(t, "later")) * time.Second
			m = reassign(m, here, dead, at)
			if err := m.Validate(); err != nil {
				t.Fatal(err)
			}
			if m.Covered() != run.Positions || m.Revision <= before.Revision {
				t.Fatalf("%d of %d positions have an owner in revision %d", m.Covered(), run.Positions, m.Revision)
			}
			total := 0.0
			for _, s := range here {
				total += s.capacity
			}
			for _, s := range here {
				part := run.Positions * s.capacity / total
				if got := float64(m.Positions(s.member)); got < 0.9*part-2 || got > 1.35*part+2 {
					t.Fatalf("%s has %v positions, its part is %v", s.member.Worker, got, part)
				}
			}
			for _, d := range dead {
				if m.Positions(d) > 0 || slices.ContainsFunc(m.Ranges(d), func(g run.Range) bool { return g.Until == at }) {
					t.Fatalf("the dead has %v", m.Ranges(d))
				}
			}
		}
	})
}

// TestMapStaysSmall: the map is written with every commit, and etcd takes a megabyte and a half. A thousand
// workers that come and go five hundred times, a second apart, stay well below.
func TestMapStaysSmall(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	all := fleetOf(2000)
	want, next := slices.Clone(all[:1000]), 1000
	m := run.ShardMap{Revision: 1, Owners: divide(want)}
	at := 10 * time.Second
	for range 500 {
		var dead []run.Member
		if random.IntN(2) == 0 {
			want, next = append(want, all[next]), next+1
		} else {
			i := random.IntN(len(want))
			dead = []run.Member{want[i].member}
			want = slices.Delete(want, i, i+1)
		}
		at += time.Second
		m = reassign(m, want, dead, at)
	}
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > 400_000 {
		t.Errorf("the map takes %d bytes", len(data))
	}
	var back run.ShardMap
	if err := json.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(back, m) {
		t.Errorf("it is read back as another one: %v", err)
	}
	t.Logf("%d bytes", len(data))
}

// TestShardMapHolds: whatever is divided, put off and taken off the dead, no position has two owners at a time.
func TestShardMapHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := fleetOf(10)
		here, next := slices.Clone(all[:3]), 3
		m := run.ShardMap{Revision: 1, Owners: divide(here)}
		at := time.Second
		for range rapid.IntRange(1, 15).Draw(t, "changes") {
			at += time.Duration(rapid.IntRange(1, 5000).Draw(t, "later")) * time.Millisecond
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				if next < len(all) {
					here, next = append(here, all[next]), next+1
				}
				m = reassign(m, here, nil, at)
			case 1:
				if len(here) > 1 {
					here = here[1:]
				}
				m = reassign(m, here, nil, at)
			case 2: // a giver has heard late
				o := m.Owners[rapid.IntRange(0, len(m.Owners)-1).Draw(t, "giver")]
				for _, g := range o.Ranges {
					if !g.Current() {
						m = shift(m, o.Member, g.Until, g.Until+time.Duration(rapid.IntRange(1, 900).Draw(t, "late"))*time.Millisecond)
						break
					}
				}
			case 3: // one dies, maybe in the middle of giving something away
				if len(here) < 2 {
					continue
				}
				dead := here[len(here)-1].member
				here = here[:len(here)-1]
				for _, g := range m.Ranges(dead) {
					if !g.Current() {
						m = bereave(m, dead, g.Until, at)
					}
				}
				m = reassign(m, here, []run.Member{dead}, at)
			}
			if m.Validate() != nil {
				m = withoutPast(m) // as the runner does
			}
			if err := m.Validate(); err != nil {
				t.Fatal(err)
			}
			if m.Covered() != run.Positions {
				t.Fatalf("%d positions have an owner", m.Covered())
			}
		}
	})
}
