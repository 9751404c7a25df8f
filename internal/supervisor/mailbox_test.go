package supervisor

import (
	"fmt"
	"testing"
	"time"

	"proofload/internal/run"
	"proofload/internal/wire"
)

// TestMailboxIsBounded proves that samples beyond the limit are refused until others are taken, that one is always
// taken, and that of what is replaced only the newest waits.
func TestMailboxIsBounded(t *testing.T) {
	m := newMailbox()
	m.limit = 10
	var said []string
	say := func(text string) func() { return func() { said = append(said, text) } }
	for i, row := range []struct {
		bytes int
		want  bool
	}{{25, true}, {1, false}} {
		if got := m.offer(row.bytes, say("big")); got != row.want {
			t.Errorf("offer %d of %d bytes is taken: %v", i, row.bytes, got)
		}
	}
	m.replace("a", say("old a"))
	m.post(say("posted"))
	m.replace("a", say("new a"))
	m.replace("b", say("b"))
	for range 2 {
		for _, fn := range m.take(2) {
			fn()
		}
		select {
		case <-m.wake:
		default:
		}
	}
	if got := fmt.Sprint(said); got != "[big new a posted b]" {
		t.Errorf("taken in the order %s", got)
	}
	if !m.offer(10, say("next")) || m.offer(1, say("too much")) {
		t.Error("what was taken still counts, or what was offered does not")
	}
	m.replace("a", say("a again"))
	m.take(1)
	select {
	case <-m.wake:
	default:
		t.Error("something is left and nobody is woken for it")
	}
}

// TestMailboxKeepsTheOrderOfSessions: the status of a session is not taken before the session's begin, although one of
// the session before it waits at an earlier place.
func TestMailboxKeepsTheOrderOfSessions(t *testing.T) {
	m := newMailbox()
	var said []string
	say := func(text string) func() { return func() { said = append(said, text) } }
	m.replace("w", say("status 1"))
	m.follow("w", say("attached"))
	m.replace("w", say("status 2"))
	m.replace("w", say("status 3"))
	m.follow("v", say("another"))
	for _, fn := range m.take(10) {
		fn()
	}
	if got := fmt.Sprint(said); got != "[status 1 attached status 3 another]" {
		t.Errorf("taken in the order %s", got)
	}
	if len(m.slots) != 0 || len(m.queue) != 0 {
		t.Errorf("%d slots and %d closures are left", len(m.slots), len(m.queue))
	}
}

// TestCommitsGoOnBetweenMessages: however much waits for a run, what has come before is committed and answered.
func TestCommitsGoOnBetweenMessages(t *testing.T) {
	bubble(t, shop, func(r *rig) {
		r.fleet.join("a", 10)
		r.create("r1", 0)
		r.load("r1", 2*time.Second)
		x, err := r.manager.live("r1")
		if err != nil {
			t.Fatal(err)
		}
		answered := make(chan time.Time, 1)
		x.mail.post(func() {
			x.command(run.Event{Kind: run.ScaleRequested, ID: "s", Factor: 1.5}, func(run.Run, error) { answered <- time.Now() })
		})
		const slow = time.Millisecond
		began := time.Now()
		for range 4000 {
			x.mail.post(func() { time.Sleep(slow) })
		}
		if took := (<-answered).Sub(began); took > 4*mailAtOnce*slow {
			t.Errorf("a command was recorded after %v, when %d messages waited behind it", took, 4000)
		}
		if rec, d := r.ended2("r1"); rec.Verdict.Result != run.Pass {
			t.Errorf("%+v, load %+v", rec.Verdict, d.Load)
		}
	})
}

// TestTooMuchAtOnceIsAskedForAgain: batches for which there is no room are not held, and none of them is lost.
func TestTooMuchAtOnceIsAskedForAgain(t *testing.T) {
	bubble(t, counted, func(r *rig) {
		a := r.fleet.join("a", 10)
		a.resends = true
		r.create("r1", 0)
		r.load("r1", 2*time.Second)
		x, err := r.manager.live("r1")
		if err != nil {
			t.Fatal(err)
		}
		x.mail.mu.Lock()
		x.mail.limit = 1
		x.mail.mu.Unlock()
		busy := make(chan struct{})
		x.mail.post(func() { <-busy })
		time.Sleep(4 * time.Second) // it seals four seconds, of which one has room
		x.mail.mu.Lock()
		waiting := len(x.mail.queue)
		x.mail.mu.Unlock()
		if waiting > 3 { // a batch, a status, and what asks for the rest
			t.Errorf("%d messages wait", waiting)
		}
		close(busy)
		rec, d := r.ended2("r1")
		whole(t, rec, d)
		a.mu.Lock()
		defer a.mu.Unlock()
		if len(a.nacks) == 0 || a.nacks[0].Reason != wire.NackGap {
			t.Errorf("it was told %+v", a.nacks)
		}
	})
}
