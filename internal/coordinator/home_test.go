package coordinator

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"proofload/internal/result"
	"proofload/internal/wire"
)

// TestCoordinatorWithAnotherStore proves that one with another store than the others does not start beside them, and
// not while runs are open, and that alone and without runs it moves to its own.
func TestCoordinatorWithAnotherStore(t *testing.T) {
	etcd, _ := listenEtcd(t)
	first := startWith(t, together(t, "c1", etcd, t.TempDir()))
	first.awaitLeader(t)
	client := claimed(t, etcd)
	other := together(t, "c2", etcd, t.TempDir())
	if _, err := New(t.Context(), other); !errors.Is(err, result.ErrOtherStore) || !strings.Contains(err.Error(), "coordinator c1 at ") {
		t.Errorf("beside the first: %v", err)
	}
	first.stop(t)
	if _, err := client.Put(t.Context(), "/proofload/v1/open/r1", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), other); !errors.Is(err, result.ErrOtherStore) || !strings.Contains(err.Error(), "runs are open in ") {
		t.Errorf("while a run is open: %v", err)
	}
	if _, err := client.Delete(t.Context(), "/proofload/v1/open/r1"); err != nil {
		t.Fatal(err)
	}
	moved := startWith(t, other)
	moved.awaitLeader(t)
}

// TestStoreThatIsNotMounted proves that a coordinator whose store has become an empty directory lets another one lead
// while runs are open, says why, and leads when the store is there again.
func TestStoreThatIsNotMounted(t *testing.T) {
	second, identity := lastOfTwo(t, func(identity string) error { return os.Rename(identity, identity+".away") })
	awaitMount(t, second, identity)
}

// TestStoreThatAnswersLate proves the same of one that leads already when its store turns out to be another one: at
// the beginning of its term the store did not answer.
func TestStoreThatAnswersLate(t *testing.T) {
	second, identity := lastOfTwo(t, func(identity string) error {
		return errors.Join(os.Rename(identity, identity+".away"), os.Mkdir(identity, 0o700)) // not readable as a file
	})
	second.awaitLeader(t)
	if err := os.Remove(identity); err != nil {
		t.Fatal(err)
	}
	awaitMount(t, second, identity)
}

// lastOfTwo starts two coordinators, opens a run, does something to the identity of their store, and stops the one
// that leads. It returns the other one.
func lastOfTwo(t *testing.T, spoil func(identity string) error) (second *served, identity string) {
	t.Helper()
	etcd, _ := listenEtcd(t)
	store := filepath.Join(t.TempDir(), "store")
	first := startWith(t, together(t, "c1", etcd, store))
	first.awaitLeader(t)
	client := claimed(t, etcd)
	second = startWith(t, together(t, "c2", etcd, store))
	if _, err := client.Put(t.Context(), "/proofload/v1/open/r1", ""); err != nil {
		t.Fatal(err)
	}
	identity = filepath.Join(store, "identity")
	if err := spoil(identity); err != nil {
		t.Fatal(err)
	}
	first.stop(t)
	return second, identity
}

// awaitMount waits until a coordinator says that it has another store, gives it the right one back, and waits until it
// leads.
func awaitMount(t *testing.T, c *served, identity string) {
	t.Helper()
	own := metadata.AppendToOutgoingContext(t.Context(), wire.MetaDirect, "1")
	until(t, "c2 says why it does not lead", func() bool {
		st, err := ask(own, t, c.Address(), insecure.NewCredentials())
		return err == nil && strings.Contains(strings.Join(st.GetProblems(), "\n"), "coordinator c2 does not lead: "+result.ErrOtherStore.Error())
	})
	if err := os.Rename(identity+".away", identity); err != nil {
		t.Fatal(err)
	}
	c.awaitLeader(t)
	until(t, "c2 has nothing to complain of", func() bool {
		st, err := ask(own, t, c.Address(), insecure.NewCredentials())
		return err == nil && len(st.GetProblems()) == 0
	})
}

// claimed waits until it is recorded which store the runs are in, and returns a client of the etcd.
func claimed(t *testing.T, etcd string) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	until(t, "the store is recorded", func() bool {
		home, err := client.Get(t.Context(), "/proofload/v1/home")
		return err == nil && len(home.Kvs) == 1
	})
	return client
}
