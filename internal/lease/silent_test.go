package lease

import (
	"strings"
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
