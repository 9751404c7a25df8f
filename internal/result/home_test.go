package result

import (
	"context"
	"errors"
	"testing"

	"proofload/internal/result/blob"
)

// TestClaimStore proves when the records move to another store: never while runs are open, whoever leads.
func TestClaimStore(t *testing.T) {
	cluster := newCluster()
	first, second := &blob.Memory{}, &blob.Memory{}
	term := cluster.elect()
	claim := func(blobs blob.Replacer) (bool, error) {
		return NewRepository(cluster, blobs).ClaimStore(t.Context(), term)
	}
	for range 2 {
		if moved, err := claim(first); moved || err != nil {
			t.Fatalf("first store: moved %v, %v", moved, err)
		}
	}
	if moved, err := claim(second); !moved || err != nil {
		t.Fatalf("another store without open runs: moved %v, %v", moved, err)
	}
	if _, _, err := NewRepository(cluster, second).Create(t.Context(), term, newRun("r1")); err != nil {
		t.Fatal(err)
	}
	term = cluster.elect()
	before, _ := second.Get(t.Context(), identityKey)
	for name, blobs := range map[string]*blob.Memory{"the first one": first, "an empty one": {}} {
		_, err := claim(blobs)
		var other *OtherStoreError
		if !errors.As(err, &other) || !errors.Is(err, ErrOtherStore) || other.Open != 1 || other.Want != string(before) {
			t.Errorf("%s: %v", name, err)
		}
		if err := NewRepository(cluster, blobs).CheckStore(t.Context()); !errors.Is(err, ErrOtherStore) {
			t.Errorf("%s: check: %v", name, err)
		}
	}
	if moved, err := claim(second); moved || err != nil {
		t.Errorf("the right one: moved %v, %v", moved, err)
	}
	if err := NewRepository(nil, first).CheckStore(t.Context()); err != nil {
		t.Errorf("offline: %v", err)
	}
}

// TestClaimStoreThatIsAway: a store that does not answer is no other one, and nothing is recorded about it.
func TestClaimStoreThatIsAway(t *testing.T) {
	cluster := newCluster()
	term := cluster.elect()
	good := &blob.Memory{}
	if _, err := NewRepository(cluster, good).ClaimStore(t.Context(), term); err != nil {
		t.Fatal(err)
	}
	if _, _, err := NewRepository(cluster, good).Create(t.Context(), term, newRun("r1")); err != nil {
		t.Fatal(err)
	}
	repo := NewRepository(cluster, away{good})
	if _, err := repo.ClaimStore(t.Context(), term); !errors.Is(err, blob.ErrUnreachable) || errors.Is(err, ErrOtherStore) {
		t.Errorf("claim: %v", err)
	}
	if err := NewRepository(cluster, good).CheckStore(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// away is a store that cannot be read.
type away struct{ *blob.Memory }

func (away) Get(context.Context, string) ([]byte, error) { return nil, blob.ErrUnreachable }
