package fleet

import (
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"proofload/internal/run"
	"proofload/internal/wire"
)

// TestForgetsWhoIsGone proves that a worker that went without a word is forgotten after an hour, when another one
// attaches, and that one of a run, one that was given up, and one that is there are not.
func TestForgetsWhoIsGone(t *testing.T) {
	now := int64(time.Minute)
	f := New(Options{Logger: hclog.NewNullLogger(), Cluster: 3, Clock: func() int64 { return now }})
	attach := func(name string) *session {
		s := newSession(f)
		w, err := f.attach(t.Context(), wire.Hello{Name: name, Instance: name, Incarnation: 1, Cluster: 3}, s)
		if err != nil {
			t.Fatal(err)
		}
		s.worker = w
		return s
	}
	gone := attach("gone")
	attach("there")
	f.detach(gone, false)
	f.Adopt(run.Member{Worker: "executes", Incarnation: 2}, "i", "r1", time.Minute)
	given := attach("given-up")
	f.Retire(run.Member{Worker: "given-up", Incarnation: 1})
	f.detach(given, false)
	for _, row := range []struct {
		after time.Duration
		want  bool
	}{{forgetAfter, true}, {forgetAfter + 1, false}} {
		now = int64(time.Minute + row.after)
		attach("new")
		if _, ok := f.Worker("gone"); ok != row.want {
			t.Errorf("after %v it is known: %v", row.after, ok)
		}
	}
	for _, name := range []string{"there", "executes", "given-up"} {
		if _, ok := f.Worker(name); !ok {
			t.Errorf("%s is forgotten", name)
		}
	}
}
