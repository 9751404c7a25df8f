package agent

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "proofload/proto/proofload/v1"
)

// follower is the refusal of a coordinator that names another one.
func follower(t *testing.T, leader string) error {
	t.Helper()
	st, err := status.New(codes.FailedPrecondition, "this coordinator does not lead").WithDetails(&pb.LeaderInfo{Address: leader})
	if err != nil {
		t.Fatal(err)
	}
	return st.Err()
}

// TestSilentLeaderIsPassedOver proves that a leader which hangs is neither tried in turn nor because
// others still name it, and only for as long as its lease may last.
func TestSilentLeaderIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &dialer{addresses: []string{"a:1", "b:1", "c:1"}, creds: insecure.NewCredentials()}
		defer d.close()
		dial := func(want string) {
			t.Helper()
			if _, _, err := d.conn(); err != nil {
				t.Fatal(err)
			}
			if got := d.address(); got != want {
				t.Errorf("tried %s, want %s", got, want)
			}
		}
		dial("a:1")
		d.succeeded()
		d.note(errSilent, true)
		for range 3 { // the others say what they know, and that is old
			for _, address := range []string{"b:1", "c:1"} {
				dial(address)
				if d.note(follower(t, "a:1"), false) {
					t.Error("the leader that hangs is named as news")
				}
			}
		}
		dial("b:1")
		if !d.note(follower(t, "c:1"), false) {
			t.Error("the next leader is no news")
		}
		dial("c:1")
		d.note(errNoWelcome, false)
		time.Sleep(silence)
		tried := map[string]bool{}
		for range d.addresses {
			if _, _, err := d.conn(); err != nil {
				t.Fatal(err)
			}
			tried[d.address()] = true
			d.note(status.Error(codes.Unavailable, "refused"), false)
		}
		if len(tried) != 3 {
			t.Errorf("once the lease is over tried %v, want all three", tried)
		}
	})
}

// TestOnlyCoordinatorIsNotPassedOver proves that a worker goes on trying the one address that it has.
func TestOnlyCoordinatorIsNotPassedOver(t *testing.T) {
	d := &dialer{addresses: []string{"a:1"}, creds: insecure.NewCredentials()}
	defer d.close()
	for range 3 {
		if _, _, err := d.conn(); err != nil || d.address() != "a:1" {
			t.Errorf("tried %q: %v", d.address(), err)
		}
		d.note(errSilent, true)
	}
}

// TestTwoThatNameEachOther proves that only the first of two hints in a row is followed at once.
func TestTwoThatNameEachOther(t *testing.T) {
	d := &dialer{addresses: []string{"a:1", "b:1"}, creds: insecure.NewCredentials()}
	defer d.close()
	for i, names := range []string{"b:1", "a:1", "b:1", "a:1"} {
		if _, _, err := d.conn(); err != nil {
			t.Fatal(err)
		}
		if news, want := d.note(follower(t, names), false), i == 0; news != want {
			t.Errorf("hint %d is news: %v, want %v", i+1, news, want)
		}
	}
}

// TestCoordinatorThatHangs proves that a session in which nothing is said any more is given up within a
// few heartbeats, although its connection stands.
func TestCoordinatorThatHangs(t *testing.T) {
	onLine(t, func(l *line) {
		s := l.attach(0)
		for range 10 {
			time.Sleep(time.Second)
			s.breathe()
		}
		began := time.Now()
		<-s.gone
		if waited, want := time.Since(began), quietBeats*time.Second; waited != want {
			t.Errorf("given up after %v, want %v", waited, want)
		}
		l.seal(1)
		wantBatches(t, "to the one that answers", l.attach(0).batches(), sequence(1, 1))
	})
}

// TestWorkerThatStoodStill proves that a worker which was stopped for longer than it would bear a coordinator's
// silence does not take that for the coordinator's.
func TestWorkerThatStoodStill(t *testing.T) {
	onLine(t, func(l *line) {
		s := l.attach(0)
		time.Sleep(3 * time.Second)
		l.slept.Add(int64(9 * time.Second))
		time.Sleep(2 * time.Second)
		s.breathe()
		began := time.Now()
		<-s.gone
		if waited, want := time.Since(began), quietBeats*time.Second; waited != want {
			t.Errorf("given up %v after the last word, want %v", waited, want)
		}
	})
}

// TestNextLeaderIsFoundSoon proves that a worker which has lost its coordinator asks often enough for
// the next one not to add to a failover, and that one which never had any takes its time.
func TestNextLeaderIsFoundSoon(t *testing.T) {
	onLine(t, func(l *line) {
		pauses := func(length time.Duration) (longest time.Duration) {
			for began := time.Now(); time.Since(began) < length; {
				before := time.Now()
				s := l.accept()
				longest = max(longest, time.Since(before))
				s.breakOff(status.Error(codes.FailedPrecondition, "this coordinator does not lead"))
			}
			return longest
		}
		if longest := pauses(time.Minute); longest <= backoffEager || longest > backoffMost {
			t.Errorf("%v between attempts without any session, want up to %v", longest, backoffMost)
		}
		l.attach(0).breakOff(status.Error(codes.Unavailable, "killed"))
		if longest := pauses(eager); longest > backoffEager {
			t.Errorf("%v between attempts right after a session, want %v at most", longest, backoffEager)
		}
	})
}

// TestDialerTriesOften: a coordinator that was away for a while is found soon after it is back, however often it
// was tried before. By itself gRPC would wait longer and longer: nine seconds for the sixth attempt.
func TestDialerTriesOften(t *testing.T) {
	attempts := make(chan struct{}, 100)
	d := &dialer{addresses: []string{"127.0.0.1:1"}, creds: insecure.NewCredentials(), extra: []grpc.DialOption{
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			attempts <- struct{}{}
			return nil, errors.New("connection refused")
		}),
	}}
	defer d.close()
	conn, _, err := d.conn()
	if err != nil {
		t.Fatal(err)
	}
	limit := time.After(7 * time.Second)
	for range 6 {
		conn.Connect()
		select {
		case <-attempts:
		case <-limit:
			t.Fatal("it is not tried often enough")
		}
	}
}
