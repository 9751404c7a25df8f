package supervisor

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"proofload/internal/run"
)

// manyOwners is a map of the ring among so many workers.
func manyOwners(n int) run.ShardMap {
	shares := make([]share, n)
	for i := range shares {
		shares[i] = share{member: run.Member{Worker: fmt.Sprintf("worker-%04d", i), Incarnation: int64(i)}, capacity: 1}
	}
	return run.ShardMap{Revision: 1, Owners: divide(shares)}
}

// TestOwnershipFollowsTheMap shows that what is looked up is what the map says, of the newest one too.
func TestOwnershipFollowsTheMap(t *testing.T) {
	var o ownership
	m := manyOwners(5)
	for range 3 {
		for _, owner := range m.Owners {
			if got := o.ranges(m, owner.Member); !reflect.DeepEqual(got, m.Ranges(owner.Member)) {
				t.Errorf("map %d: %s has %v", m.Revision, owner.Worker, got)
			}
			if got, want := o.permits(m, 17), permits(m, 17); !reflect.DeepEqual(got, want) {
				t.Errorf("map %d: permits %v, want %v", m.Revision, got, want)
			}
		}
		if got := o.ranges(m, run.Member{Worker: "nobody"}); got != nil {
			t.Errorf("nobody has %v", got)
		}
		m = reassign(m, []share{{m.Owners[1].Member, 1}, {m.Owners[2].Member, 3}}, nil, 2*time.Second)
	}
	if got := o.ranges(run.ShardMap{}, m.Owners[0].Member); got != nil {
		t.Errorf("of no map, %v", got)
	}
}

// BenchmarkPermitsOfAll is what the first assignment of a run computes: the part that each worker has of a cap.
func BenchmarkPermitsOfAll(b *testing.B) {
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m := manyOwners(n)
			for b.Loop() {
				var o ownership
				for _, owner := range m.Owners {
					_ = o.permits(m, 100_000)[owner.Member]
				}
			}
		})
	}
}

// BenchmarkReassign is what a lost worker, or as many again that join, costs.
func BenchmarkReassign(b *testing.B) {
	for _, n := range []int{100, 1000} {
		m := manyOwners(n)
		all := make([]share, 0, 2*n)
		for _, o := range m.Owners {
			all = append(all, share{o.Member, 1})
		}
		b.Run(fmt.Sprintf("lost of %d", n), func(b *testing.B) {
			for b.Loop() {
				reassign(m, all[1:], []run.Member{all[0].member}, 2*time.Second)
			}
		})
		for i := range n {
			all = append(all, share{run.Member{Worker: fmt.Sprintf("joined-%04d", i), Incarnation: 1}, 1})
		}
		b.Run(fmt.Sprintf("joined %d", n), func(b *testing.B) {
			for b.Loop() {
				reassign(m, all, nil, 2*time.Second)
			}
		})
	}
}
