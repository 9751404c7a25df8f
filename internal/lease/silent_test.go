package lease

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestSilentMembers proves that each member is asked for itself: one that does not answer is named although another
// one does, by the name that it had, and an embedded etcd has none that could be silent.
func TestSilentMembers(t *testing.T) {
	here, _ := listening(t)
	there, stop := listening(t)
	client, err := Connect(t.Context(), ConnectOptions{Endpoints: []string{"http://" + here, "http://" + there}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}()
	s := NewStore(client)
	if silent := s.Silent(t.Context(), time.Minute); len(silent) > 0 {
		t.Fatalf("silent %+v, and both are there", silent)
	}
	stop()
	silent := s.Silent(t.Context(), time.Second)
	if len(silent) != 1 || silent[0].Endpoint != "http://"+there || silent[0].Name != "external" || silent[0].Why == "" || strings.Contains(silent[0].Why, "rpc error") {
		t.Errorf("silent %+v, want external at %s", silent, there)
	}
	if silent := NewStore(newEtcd(t)).Silent(t.Context(), time.Second); len(silent) > 0 {
		t.Errorf("an embedded etcd is silent: %+v", silent)
	}
}

// TestSilentMemberIsNamedByOthers proves that a member which has frozen before anybody asked for names has its name
// all the same: the list is read from one that answers, and not from whichever the client would ask by turns.
func TestSilentMemberIsNamedByOthers(t *testing.T) {
	ways := [2]*way{newWay(t), newWay(t)}
	addresses := [2]string{ways[0].Addr().String(), ways[1].Addr().String()}
	etcd, _ := listening(t, addresses[:]...)
	for _, w := range ways {
		w.lead(t, etcd)
	}
	client, err := Connect(t.Context(), ConnectOptions{Endpoints: addresses[:]})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}()
	// Both are known to the client, which asks them by turns.
	for range 8 {
		if _, err := client.Get(t.Context(), "any"); err != nil {
			t.Fatal(err)
		}
	}
	ways[1].frozen.Lock()
	defer ways[1].frozen.Unlock()
	const stores = 8 // one by itself could ask the right one by luck
	var asking sync.WaitGroup
	for range stores {
		asking.Go(func() {
			silent := NewStore(client).Silent(t.Context(), 5*time.Second)
			if len(silent) != 1 || silent[0].Endpoint != addresses[1] || silent[0].Name != "external" {
				t.Errorf("silent %+v, want external at %s", silent, addresses[1])
			}
		})
	}
	asking.Wait()
}

// way is an address behind which something else listens. What has begun to pass through it stops while it is frozen,
// and nothing is closed.
type way struct {
	net.Listener
	frozen sync.Mutex
}

func newWay(t *testing.T) *way {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return &way{Listener: l}
}

// lead lets connections through to an address until the test ends.
func (w *way) lead(t *testing.T, to string) {
	t.Helper()
	var open sync.WaitGroup
	t.Cleanup(open.Wait)
	t.Cleanup(func() { _ = w.Close() })
	open.Go(func() {
		for {
			from, err := w.Accept()
			if err != nil {
				return
			}
			there, err := new(net.Dialer).DialContext(t.Context(), "tcp", to)
			if err != nil {
				_ = from.Close()
				continue
			}
			open.Go(func() { w.pass(there, from) })
			open.Go(func() { w.pass(from, there) })
		}
	})
}

// pass copies what comes from one connection to another until either ends, and then ends both.
func (w *way) pass(to, from net.Conn) {
	_, _ = io.Copy(writer(func(b []byte) (int, error) {
		w.frozen.Lock()
		defer w.frozen.Unlock()
		return to.Write(b)
	}), from)
	_ = from.Close()
	_ = to.Close()
}

type writer func([]byte) (int, error)

func (f writer) Write(b []byte) (int, error) { return f(b) }
