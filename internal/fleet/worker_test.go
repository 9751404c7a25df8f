package fleet

import (
	"context"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc/peer"
)

// TestLoopback proves that a worker counts as near by where its stream comes from, and by nothing else.
func TestLoopback(t *testing.T) {
	for _, row := range []struct {
		addr net.Addr
		want bool
	}{
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, true},
		{&net.TCPAddr{IP: net.IPv6loopback, Port: 1}, true},
		{&net.UnixAddr{Name: "/s", Net: "unix"}, true},
		{&net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 1}, false},
		{nil, false},
	} {
		if got := loopback(peer.NewContext(context.Background(), &peer.Peer{Addr: row.addr})); got != row.want {
			t.Errorf("peer %v is on this machine: %v, want %v", row.addr, got, row.want)
		}
	}
	if loopback(context.Background()) {
		t.Error("a stream without a peer is on this machine")
	}
}

// TestClockBound proves that a clock of which nothing is known yet counts as bad, except this machine's.
func TestClockBound(t *testing.T) {
	for _, row := range []struct {
		worker Worker
		want   time.Duration
	}{
		{Worker{}, unknownBound},
		{Worker{Loopback: true}, 0},
		{Worker{Bound: time.Millisecond}, time.Millisecond},
	} {
		if got := row.worker.ClockBound(); got != row.want {
			t.Errorf("bound of %+v is %v, want %v", row.worker, got, row.want)
		}
	}
}
