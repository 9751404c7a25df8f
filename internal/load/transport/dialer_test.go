package transport

import (
	"cmp"
	"context"
	"net"
	"net/http/httptrace"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"proofload/internal/scenario"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listen accepts connections on one port of several addresses of the loopback until the test ends.
func listen(t *testing.T, addrs ...string) (port string) {
	t.Helper()
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait) // after the listeners have been closed
	for _, a := range addrs {
		var lc net.ListenConfig
		l, err := lc.Listen(t.Context(), "tcp", net.JoinHostPort(a, cmp.Or(port, "0")))
		if err != nil {
			t.Skipf("this machine has no address %s: %v", a, err)
		}
		_, port, _ = net.SplitHostPort(l.Addr().String())
		wg.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_ = c.Close()
			}
		})
		t.Cleanup(func() { _ = l.Close() })
	}
	return port
}

func newDialer(t *testing.T, o DialerOptions) *Dialer {
	t.Helper()
	d, err := NewDialer(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// dialed opens a connection and returns where from and to.
func dialed(t *testing.T, d *Dialer, addr string) (from, to string) {
	t.Helper()
	c, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	from, _, _ = net.SplitHostPort(c.LocalAddr().String())
	to, _, _ = net.SplitHostPort(c.RemoteAddr().String())
	return from, to
}

// TestFixedAddresses: each connection goes to the next address, whatever the name, and a node that is down
// is not hidden by the others.
func TestFixedAddresses(t *testing.T) {
	port := listen(t, "127.0.0.1", "127.0.0.2")
	d := newDialer(t, DialerOptions{DNS: &scenario.DNS{Addresses: []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"}}})
	var seen []string
	for range 6 {
		c, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort("nowhere.invalid", port))
		if err != nil {
			seen = append(seen, string(Classify(err, "other")))
			continue
		}
		to, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		_ = c.Close()
		seen = append(seen, to)
	}
	if got, want := strings.Join(seen, " "), "127.0.0.1 127.0.0.2 connect 127.0.0.1 127.0.0.2 connect"; got != want {
		t.Errorf("connections to %s, want %s", got, want)
	}
}

// TestSourceAddresses: connections leave from each source in turn; an address that this machine does not have
// is the generator's fault, and so is none of the target's family.
func TestSourceAddresses(t *testing.T) {
	port := listen(t, "127.0.0.1", "127.0.0.2")
	addr := net.JoinHostPort("127.0.0.1", port)
	d := newDialer(t, DialerOptions{Connections: &scenario.Connections{Source: []string{"127.0.0.1", "127.0.0.2"}}})
	var seen []string
	for range 4 {
		from, _ := dialed(t, d, addr)
		seen = append(seen, from)
	}
	if got, want := strings.Join(seen, " "), "127.0.0.1 127.0.0.2 127.0.0.1 127.0.0.2"; got != want {
		t.Errorf("connections from %s, want %s", got, want)
	}
	for source, want := range map[string]Kind{"192.0.2.1": KindNoPorts, "::1": KindNoSource} {
		d := newDialer(t, DialerOptions{Connections: &scenario.Connections{Source: []string{source}}})
		_, err := d.DialContext(t.Context(), "tcp", addr)
		if kind := Classify(err, "other"); kind != want {
			t.Errorf("from %s: kind %s (%v), want %s", source, kind, err, want)
		}
	}
}

// TestSourceFamilies: a name is dialled at its addresses of those families that there is a source of, and from that;
// where there is none, the error says what to do.
func TestSourceFamilies(t *testing.T) {
	port := listen(t, "127.0.0.1", "::1")
	_, resolver := serveNames(t, map[string][]netip.Addr{
		"both.test.": {netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")},
		"four.test.": {netip.MustParseAddr("127.0.0.1")}, "six.test.": {netip.MustParseAddr("::1")},
	})
	for _, dns := range []*scenario.DNS{nil, {Refresh: time.Hour}} {
		for _, tt := range []struct {
			name    string
			sources []string
			to      []string // any of them; none: it cannot be reached
		}{
			{"four.test.", []string{"::1", "127.0.0.1"}, []string{"127.0.0.1"}},
			{"six.test.", []string{"127.0.0.1", "127.0.0.2", "::1"}, []string{"::1"}},
			{"both.test.", []string{"127.0.0.1", "::1"}, []string{"127.0.0.1", "::1"}},
			{"both.test.", []string{"127.0.0.2"}, []string{"127.0.0.1"}},
			{"both.test.", []string{"::1"}, []string{"::1"}},
			{"four.test.", []string{"::1"}, nil},
			{"six.test.", []string{"127.0.0.1", "127.0.0.2"}, nil},
		} {
			d := newDialer(t, DialerOptions{DNS: dns, Connections: &scenario.Connections{Source: tt.sources}, Resolver: resolver})
			for range 4 {
				if tt.to == nil {
					_, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort(tt.name, port))
					_, listed := d.Addresses(t.Context(), tt.name)
					if kind := Classify(err, "other"); kind != KindNoSource || Classify(listed, "other") != KindNoSource || !IsGenerator(kind) {
						t.Errorf("%s from %s: %v, %v", tt.name, tt.sources, err, listed)
					}
					if err != nil && !strings.Contains(err.Error(), "name one that the worker has") {
						t.Errorf("%v does not say what to do", err)
					}
					continue
				}
				from, to := dialed(t, d, net.JoinHostPort(tt.name, port))
				if !slices.Contains(tt.sources, from) || !slices.Contains(tt.to, to) {
					t.Errorf("%s from %s: connected from %s to %s", tt.name, tt.sources, from, to)
				}
			}
		}
	}
	d := newDialer(t, DialerOptions{DNS: &scenario.DNS{Addresses: []string{"127.0.0.1"}}, Connections: &scenario.Connections{Source: []string{"::1"}}})
	if _, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort("any.test.", port)); Classify(err, "other") != KindNoSource {
		t.Errorf("a fixed address: %v", err)
	}
}

// TestDeafAddress: an address that does not answer leaves time for the others.
func TestDeafAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		for left, want := range map[int]time.Duration{3: 10 * time.Second, 2: 15 * time.Second, 1: 30 * time.Second, 100: 2 * time.Second} {
			part, stop := portion(ctx, left)
			deadline, _ := part.Deadline()
			if got := time.Until(deadline); got != want {
				t.Errorf("%v of 30s for the first of %d, want %v", got, left, want)
			}
			stop()
		}
	})
}

// TestWaitForALookup: who waits for somebody else's lookup watches it like one of its own.
func TestWaitForALookup(t *testing.T) {
	_, resolver := serveNames(t, map[string][]netip.Addr{})
	d := newDialer(t, DialerOptions{DNS: &scenario.DNS{Refresh: time.Hour}, Resolver: resolver})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for range 3 {
		started := make(chan bool)
		start := sync.OnceFunc(func() { close(started) }) // to wait, and then to ask, are two
		watch := &httptrace.ClientTrace{DNSStart: func(httptrace.DNSStartInfo) { start() }}
		wg.Go(func() { _, _ = d.DialContext(httptrace.WithClientTrace(ctx, watch), "tcp", "silent.test.:80") })
		<-started
	}
}

// TestNamesThatFail: a name that is not known is the target's, a resolver that fails or does not answer is
// not, whether the system resolves or the target's name is asked for again and again.
func TestNamesThatFail(t *testing.T) {
	_, resolver := serveNames(t, map[string][]netip.Addr{"broken.test.": nil})
	for _, dns := range []*scenario.DNS{nil, {Refresh: time.Hour}} {
		for name, want := range map[string]Kind{"unknown.test.": KindDNS, "broken.test.": KindResolver, "silent.test.": KindResolver} {
			d := newDialer(t, DialerOptions{DNS: dns, Resolver: resolver})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := d.DialContext(ctx, "tcp", name+":80")
			cancel()
			if kind := Classify(err, "other"); kind != want {
				t.Errorf("%s with %+v: kind %s (%v), want %s", name, dns, kind, err, want)
			}
		}
	}
}

// TestNoResolver: nobody listens where the resolver should be.
func TestNoResolver(t *testing.T) {
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.LocalAddr().String()
	_ = l.Close()
	d := newDialer(t, DialerOptions{Resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", addr)
	}}})
	_, err = d.DialContext(t.Context(), "tcp", "shop.test.:80")
	if kind := Classify(err, "other"); kind != KindResolver || !IsGenerator(kind) {
		t.Errorf("kind %s (%v), want %s", kind, err, KindResolver)
	}
}

// TestRefresh: the name is asked for again, connections to an address that is gone are not valid any more,
// and new ones go where it leads now. When it leads nowhere, what is open stays and what is new fails.
func TestRefresh(t *testing.T) {
	port := listen(t, "127.0.0.1", "127.0.0.2")
	server, resolver := serveNames(t, map[string][]netip.Addr{})
	server.set("shop.test.", "127.0.0.1")
	d := newDialer(t, DialerOptions{DNS: &scenario.DNS{Refresh: time.Millisecond}, Resolver: resolver})
	addr := net.JoinHostPort("shop.test.", port)
	c, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if !d.Changing() || !d.Valid(c) {
		t.Error("a connection to the present address is not valid")
	}
	server.set("shop.test.", "127.0.0.2")
	eventually(t, func() bool { return !d.Valid(c) })
	if _, to := dialed(t, d, addr); to != "127.0.0.2" {
		t.Errorf("connected to %s", to)
	}
	server.set("shop.test.", "127.0.0.1", "127.0.0.2")
	eventually(t, func() bool { return d.Valid(c) })
	server.forget("shop.test.")
	eventually(t, func() bool {
		fresh, err := d.DialContext(t.Context(), "tcp", addr)
		if err == nil {
			_ = fresh.Close()
			return false
		}
		return Classify(err, "other") == KindDNS
	})
	if !d.Valid(c) {
		t.Error("a connection is given up because its name is not known for a while")
	}
}

// eventually waits for something that comes after any time.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for !ok() {
		select {
		case <-t.Context().Done():
			t.Fatal("it never came")
		case <-time.After(time.Millisecond):
		}
	}
}
