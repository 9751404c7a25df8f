package http2load

import (
	"maps"
	"math/rand/v2"
	"testing"
)

// TestCrowd: it holds what a map would, whoever lasts while others come and go.
func TestCrowd(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 0))
		var got crowd
		want := map[uint32]*stream{}
		most := 1 << r.IntN(11) // also more than there are places
		for id := uint32(1); id < 6000; id += 2 {
			st := &stream{id: id}
			got.add(st)
			want[id] = st
			for id, one := range want {
				if len(want) <= most && r.IntN(8) > 0 || id%97 == 1 && r.IntN(400) > 0 { // some last for long
					break
				}
				got.remove(one)
				delete(want, id)
			}
			for _, id := range []uint32{id, id + 1, r.Uint32N(id + 3), 0} {
				if got.get(id) != want[id] {
					t.Fatalf("seed %d: stream %d is %v, want %v", seed, id, got.get(id), want[id])
				}
			}
		}
		check(t, &got, want)
		for st := range got.all { // as when a connection ends
			got.remove(st)
			delete(want, st.id)
		}
		check(t, &got, want)
		if len(want) != 0 || len(got.near) > mostNear {
			t.Fatalf("seed %d: %d are left, in %d places", seed, len(want), len(got.near))
		}
	}
}

func check(t *testing.T, got *crowd, want map[uint32]*stream) {
	t.Helper()
	all := map[uint32]*stream{}
	for st := range got.all {
		all[st.id] = st
	}
	if got.size != len(want) || !maps.Equal(all, want) {
		t.Fatalf("%d streams, %d of them yielded, want %d", got.size, len(all), len(want))
	}
	for st := range got.all {
		if st != nil {
			break // who has seen enough is heard
		}
	}
}
