package transport

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// collector returns a Collector, or skips where there is none.
func collector(t *testing.T) *Collector {
	t.Helper()
	o, err := NewCollector()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system has no epoll to collect answers with")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
	return o
}

// collected returns a connection of o's, and its other end.
func collected(t *testing.T, o *Collector) (*Collected, *net.TCPConn) {
	t.Helper()
	ours, theirs := tcpPair(t)
	c, err := o.Take(ours)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	o.Collect() // tells that the connection can be written to, which is new
	return c, theirs
}

// tcpPair returns both ends of a connection.
func tcpPair(t *testing.T) (ours, theirs *net.TCPConn) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	ours, err = net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr))
	if err != nil {
		t.Fatal(err)
	}
	if theirs, err = l.AcceptTCP(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	return ours, theirs
}

// pacing calls Collect all the time until the test ends.
func pacing(t *testing.T, o *Collector) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Microsecond):
				o.Collect()
			}
		}
	})
	t.Cleanup(func() { close(stop); wg.Wait() })
}

// here waits until what was sent to c is there to be read.
func here(t *testing.T, c *Collected) {
	t.Helper()
	for quiet(c.fd) {
		time.Sleep(100 * time.Microsecond)
	}
}

// TestCollectedCarries sends much both ways over many connections at once, more than their buffers hold.
func TestCollectedCarries(t *testing.T) {
	const conns, rounds = 20, 10
	o := collector(t)
	var wg sync.WaitGroup
	for i := range conns {
		c, theirs := collected(t, o)
		wg.Go(func() { _, _ = io.Copy(theirs, theirs) })
		wg.Go(func() {
			defer func() { _ = c.Close() }()
			for k := range rounds {
				sent := bytes.Repeat([]byte{byte(i), byte(k)}, 1+(i*rounds+k)*97)
				got := make([]byte, len(sent))
				if _, err := c.Write(sent); err != nil {
					t.Error(err)
				}
				if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(sent, got) {
					t.Errorf("connection %d, round %d: %v", i, k, err)
				}
			}
		})
	}
	pacing(t, o)
	wg.Wait()
	if n := o.Waiting(); n != 0 {
		t.Errorf("%d wait after the end", n)
	}
}

// TestCollectedBlocksWriters: who sends more than the other side reads waits, until that changes.
func TestCollectedBlocksWriters(t *testing.T) {
	o := collector(t)
	c, theirs := collected(t, o)
	pacing(t, o)
	const size = 32 << 20
	var wg sync.WaitGroup
	wg.Go(func() {
		if n, err := c.Write(make([]byte, size)); n != size || err != nil {
			t.Errorf("wrote %d: %v", n, err)
		}
		_ = c.Close()
	})
	for o.Waiting() == 0 {
		time.Sleep(time.Millisecond)
	}
	if n, err := io.Copy(io.Discard, theirs); n != size || err != nil {
		t.Errorf("read %d: %v", n, err)
	}
	wg.Wait()
}

// TestCollectWakesAndDatesByArrival: nobody is woken but by Collect, and when something came does not depend on when
// that was. The kernel begins to note times some time after it was asked, so the first ones do not count.
func TestCollectWakesAndDatesByArrival(t *testing.T) {
	const later, slack = 50 * time.Millisecond, 5 * time.Millisecond
	o := collector(t)
	c, theirs := collected(t, o)
	for left := 10; ; left-- {
		read := make(chan error)
		go func() {
			_, err := c.Read(make([]byte, 1)) // tells that nothing is there, and waits
			read <- err
		}()
		for o.Waiting() == 0 {
			time.Sleep(time.Millisecond)
		}
		before := time.Now()
		if _, err := theirs.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		here(t, c)
		after := time.Now()
		select {
		case err := <-read:
			t.Fatalf("read without Collect: %v", err)
		case <-time.After(later):
		}
		o.Collect()
		if err := <-read; err != nil {
			t.Fatal(err)
		}
		at := c.Received()
		if at.Before(before.Add(-slack)) {
			t.Fatalf("received %v before it was sent", before.Sub(at))
		}
		if at.Before(after.Add(slack)) {
			return
		}
		if left == 0 {
			t.Fatalf("received %v after it was there", at.Sub(after))
		}
	}
}

// TestInstant: however the wall clock is set between an arrival and its collection, the arrival is dated neither before
// nothing had come nor after now.
func TestInstant(t *testing.T) {
	found := time.Now()
	since := found.Add(-10 * time.Millisecond)
	c := &Collected{since: since, found: found}
	wall := func(d time.Duration) int64 { return found.UnixNano() + int64(d) }
	for _, tc := range []struct {
		name string
		wall int64
		want time.Duration // from found
	}{
		{"in between", wall(-4 * time.Millisecond), -4 * time.Millisecond},
		{"set forward meanwhile", wall(-time.Hour), -10 * time.Millisecond},
		{"just now", wall(0), 0},
	} {
		if got := c.instant(tc.wall); got.Sub(found) != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got.Sub(found), tc.want)
		}
	}
	for name, wall := range map[string]int64{"set back meanwhile": wall(time.Hour), "unknown": 0} {
		if got := c.instant(wall); got.Before(found) || got.After(time.Now()) {
			t.Errorf("%s: %v after it was found", name, got.Sub(found))
		}
	}
}

// TestCollectedDeadlines: one that is over ends a wait, by Collect or by who sets it, and a later one lets reading go on.
func TestCollectedDeadlines(t *testing.T) {
	o := collector(t)
	c, theirs := collected(t, o)
	other, _ := collected(t, o)
	p := make([]byte, 1)
	var wg sync.WaitGroup
	// Another one whose deadline is far away goes on waiting.
	_ = other.SetDeadline(time.Now().Add(time.Hour))
	wg.Go(func() {
		if _, err := other.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the other: %v", err)
		}
	})
	for o.Waiting() == 0 {
		time.Sleep(time.Millisecond)
	}
	pacing(t, o)
	_ = c.SetDeadline(time.Now().Add(5 * time.Millisecond))
	if _, err := c.Read(p); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read: %v", err)
	}
	if _, err := c.Read(p); !errors.Is(err, os.ErrDeadlineExceeded) { // and still is over
		t.Fatalf("read again: %v", err)
	}
	_ = c.SetDeadline(time.Time{})
	wg.Go(func() {
		for o.Waiting() < 2 {
			time.Sleep(time.Millisecond)
		}
		_ = c.SetDeadline(LongAgo)
	})
	if _, err := c.Read(p); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("interrupted: %v", err)
	}
	_ = c.SetDeadline(time.Now().Add(time.Hour))
	if _, err := theirs.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(p); n != 1 || err != nil {
		t.Fatalf("read after that: %d, %v", n, err)
	}
	if o.Waiting() != 1 {
		t.Errorf("%d wait, want the other", o.Waiting())
	}
	_ = other.SetDeadline(LongAgo)
	wg.Wait()
}

// told counts how often it was told.
type told int

func (r *told) Ready() { *r++ }

// TestExpect: a receiver is told once, by Collect alone, of what came before it expected something or after, and when
// the time is over.
func TestExpect(t *testing.T) {
	o := collector(t)
	c, theirs := collected(t, o)
	p := make([]byte, 10)
	send := func() {
		t.Helper()
		if _, err := theirs.Write([]byte("abc")); err != nil {
			t.Fatal(err)
		}
		here(t, c)
	}
	var r told
	collects := func(want told) {
		t.Helper()
		if o.Collect(); r != want {
			t.Fatalf("told %d times, want %d", r, want)
		}
	}
	if !c.Quiet(time.Now()) {
		t.Error("not quiet although nothing came")
	}
	c.Expect(&r)
	collects(0)
	send()
	collects(1)
	collects(1)
	if n := c.Fetch(p); n != 3 {
		t.Errorf("fetched %d", n)
	}
	if n := c.Fetch(p); n != 0 {
		t.Errorf("fetched %d of nothing", n)
	}
	send()
	collects(1) // nobody expects it
	if c.Quiet(time.Now()) {
		t.Error("quiet although something came")
	}
	o.Collect()
	c.Fetch(p)
	send()
	o.Collect()
	c.Expect(&r)
	collects(2)
	c.Fetch(p)
	c.Expect(&r)
	_ = c.SetDeadline(LongAgo)
	if r != 2 {
		t.Error("told by who set a deadline")
	}
	collects(3)
	_ = c.SetDeadline(time.Now().Add(time.Millisecond))
	c.Expect(&r)
	time.Sleep(2 * time.Millisecond)
	collects(4)
}

// TestCollectedEnds: an end is told of like anything that comes, and what is closed can be used no more.
func TestCollectedEnds(t *testing.T) {
	o := collector(t)
	c, theirs := collected(t, o)
	_ = theirs.Close()
	here(t, c)
	o.Collect()
	if c.Quiet(time.Now()) {
		t.Error("quiet although it has ended")
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("read: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed again: %v", err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read: %v", err)
	}
	if _, err := c.Write(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write: %v", err)
	}
	if n := c.Post(make([]byte, 1)) + c.Fetch(make([]byte, 1)); n != 0 {
		t.Error("something was carried")
	}
}

// TestEndBehindData: an end that comes together with the last bytes is not lost behind them, nor is a reset; and a
// connection that has ended so is not quiet.
func TestEndBehindData(t *testing.T) {
	for _, how := range []string{"read", "fetch", "reset"} {
		o := collector(t)
		c, theirs := collected(t, o)
		if how == "reset" {
			_ = theirs.SetLinger(0)
		} else if _, err := theirs.Write([]byte("abc")); err != nil {
			t.Fatal(err)
		}
		_ = theirs.Close()
		var r told
		for c.Expect(&r); r == 0; time.Sleep(100 * time.Microsecond) { // a look at the socket would take the error away
			o.Collect()
		}
		p := make([]byte, 10)
		want := io.EOF
		switch how {
		case "read":
			if n, err := c.Read(p); n != 3 || err != nil {
				t.Errorf("%s: %d, %v", how, n, err)
			}
		case "fetch":
			if n := c.Fetch(p); n != 3 {
				t.Errorf("%s: %d", how, n)
			}
		case "reset":
			if n := c.Fetch(p); n != 0 {
				t.Errorf("%s: %d", how, n)
			}
			want = syscall.ECONNRESET
		}
		if c.Quiet(time.Now()) {
			t.Errorf("%s: quiet after the end", how)
		}
		if _, err := c.Read(p); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", how, err, want)
		}
	}
}

// TestTakenAfterItsEnd: a connection that had ended before it was the collector's is not quiet, however recent the last Look.
func TestTakenAfterItsEnd(t *testing.T) {
	o := collector(t)
	ours, theirs := tcpPair(t)
	_ = theirs.Close()
	if n, err := ours.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Fatalf("%d, %v", n, err)
	}
	o.Collect()
	looked := time.Now()
	c, err := o.Take(ours)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if c.Quiet(looked) {
		t.Error("quiet although it has ended")
	}
}

// TestEndIsDated: what an end completes was received when the end was read, and not with the last bytes.
func TestEndIsDated(t *testing.T) {
	o := collector(t)
	c, theirs := collected(t, o)
	pacing(t, o)
	if _, err := theirs.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 10)
	if _, err := c.Read(p); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	_ = theirs.Close()
	if _, err := c.Read(p); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if at := c.Received(); at.Before(before) {
		t.Errorf("the end was received %v before it was sent", before.Sub(at))
	}
}

// TestQuietLooks: that a connection has ended is seen without a Look, unless the last one has only just been.
func TestQuietLooks(t *testing.T) {
	o := collector(t)
	c, theirs := collected(t, o)
	looked := time.Now()
	if !c.Quiet(looked) { // that it can be written to was news
		t.Error("not quiet")
	}
	_ = theirs.Close()
	here(t, c)
	if !c.Quiet(looked) {
		t.Error("it has looked again, though somebody just had")
	}
	if c.Quiet(looked.Add(time.Millisecond)) {
		t.Error("quiet although it has ended")
	}
}

// TestLeave: a connection can be given back, with what is under way on it.
func TestLeave(t *testing.T) {
	o := collector(t)
	c, theirs := collected(t, o)
	if _, err := theirs.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	nc, err := c.Leave()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nc.Close() }()
	if _, err := nc.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
	back, err := o.Take(nc)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = back.Close() }()
	var r told
	back.Expect(&r)
	if _, err := theirs.Write([]byte("y")); err != nil {
		t.Fatal(err)
	}
	here(t, back)
	if o.Collect(); r != 1 {
		t.Errorf("told %d times", r)
	}
}

// TestTakeOfOthers: what is no connection of TCP, or none any more, stays what it is.
func TestTakeOfOthers(t *testing.T) {
	o := collector(t)
	a, b := net.Pipe()
	defer func() { _, _ = a.Close(), b.Close() }()
	if _, err := o.Take(a); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("pipe: %v", err)
	}
	ours, _ := tcpPair(t)
	_ = ours.Close()
	if _, err := o.Take(ours); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}
