package transport

import (
	"context"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"proofload/internal/scenario"
)

// refreshTimeout is how long a lookup in the background may take.
const refreshTimeout = 10 * time.Second

// Dialer opens the connections to one target: to fixed addresses, to those that a resolver is asked for again
// and again, or to what the system says for each connection. It may be used by any number of goroutines.
//
// With fixed addresses each connection goes to the next one, and to no other if that fails: who names three
// nodes wants to hear of the one that is down. With a resolver's the other addresses are tried, too.
type Dialer struct {
	resolver *net.Resolver
	plain    net.Dialer
	sources  []netip.Addr
	fixed    []netip.Addr
	refresh  time.Duration
	turn     atomic.Uint64 // of addresses
	local    atomic.Uint64 // of sources

	known atomic.Pointer[[]netip.Addr] // what the resolver said last; nil: it has to be asked

	asking chan struct{} // full while a lookup for those who wait goes on

	mu     sync.Mutex
	closed bool
	stop   context.CancelFunc
	loop   sync.WaitGroup
}

// DialerOptions of a Dialer. All may be left out.
type DialerOptions struct {
	DNS         *scenario.DNS
	Connections *scenario.Connections
	Resolver    *net.Resolver // nil: the system's
}

// NewDialer checks the addresses and returns a dialer, which must be closed.
func NewDialer(o DialerOptions) (*Dialer, error) {
	d := &Dialer{resolver: o.Resolver, plain: PlainDialer(o.Resolver), asking: make(chan struct{}, 1)}
	if d.resolver == nil {
		d.resolver = net.DefaultResolver
	}
	var err error
	if o.DNS != nil {
		if d.fixed, err = addresses(o.DNS.Addresses); err != nil {
			return nil, err
		}
		d.refresh = o.DNS.Refresh
	}
	if o.Connections != nil {
		if d.sources, err = addresses(o.Connections.Source); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func addresses(in []string) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, s := range in {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("address %q: %w", s, err)
		}
		out = append(out, a.Unmap())
	}
	return out, nil
}

// Changing reports whether connections that are open can lead to an address that is gone, so that Valid has
// to be asked before one is used again.
func (d *Dialer) Changing() bool { return d.refresh > 0 }

// Valid reports whether the address that a connection leads to is still one of the target's. It does not
// allocate.
func (d *Dialer) Valid(c net.Conn) bool { return d.ValidAddr(c.RemoteAddr()) }

// ValidAddr is Valid for what has an address only.
func (d *Dialer) ValidAddr(remote net.Addr) bool {
	known := d.known.Load()
	if !d.Changing() || known == nil {
		return true
	}
	var ip net.IP
	switch a := remote.(type) {
	case *net.TCPAddr:
		ip = a.IP
	case *net.UDPAddr:
		ip = a.IP
	default:
		return true
	}
	addr, ok := netip.AddrFromSlice(ip)
	return !ok || slices.Contains(*known, addr.Unmap())
}

// sourceError says that a target cannot be reached from any of the addresses that the scenario names.
type sourceError struct {
	host string
	addr netip.Addr // one of its addresses; the others are of the same family
}

// Error says what to do.
func (e *sourceError) Error() string {
	family := "IPv6"
	if e.addr.Is4() {
		family = "IPv4"
	}
	return fmt.Sprintf("connections.source names no address of %s, and %s leads to nothing else (%s): name one that the worker has, or leave connections.source out", family, e.host, e.addr)
}

// DialContext opens a connection to host:port. Its errors are those of a net.Dialer.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	switch {
	case len(d.fixed) > 0:
		next, err := d.reachable(host, []netip.Addr{d.nextFixed()})
		if err != nil {
			return nil, err
		}
		return d.dial(ctx, network, next[0], port)
	case d.refresh > 0 || len(d.sources) > 0:
		return d.dialResolved(ctx, network, host, port)
	}
	return d.plain.DialContext(ctx, network, addr)
}

func (d *Dialer) nextFixed() netip.Addr { return d.fixed[(d.turn.Add(1)-1)%uint64(len(d.fixed))] }

// dialResolved tries the addresses that are known, beginning with the next in turn if they are asked for again.
func (d *Dialer) dialResolved(ctx context.Context, network, host, port string) (net.Conn, error) {
	known, err := d.resolve(ctx, host)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	if known, err = d.reachable(host, known); err != nil {
		return nil, err
	}
	turn := 0
	if d.Changing() {
		turn = int((d.turn.Add(1) - 1) % uint64(len(known)))
	}
	var first error
	for i := range known {
		part, cancel := portion(ctx, len(known)-i)
		c, err := d.dial(part, network, known[(turn+i)%len(known)], port)
		cancel()
		if err == nil {
			return c, nil
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

// portion limits the time for the first of so many addresses that are left to try, so that one that does not answer
// leaves some to the others.
func portion(ctx context.Context, left int) (context.Context, context.CancelFunc) {
	const least = 2 * time.Second
	deadline, ok := ctx.Deadline()
	if !ok || left == 1 {
		return ctx, func() {}
	}
	remaining := time.Until(deadline)
	return context.WithTimeout(ctx, max(remaining/time.Duration(left), min(least, remaining)))
}

// reachable returns those addresses of host to whose family there is a source.
func (d *Dialer) reachable(host string, all []netip.Addr) ([]netip.Addr, error) {
	if len(d.sources) == 0 {
		return all, nil
	}
	var out []netip.Addr
	for _, a := range all {
		if slices.ContainsFunc(d.sources, func(s netip.Addr) bool { return s.Is4() == a.Is4() }) {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return nil, &sourceError{host, all[0]}
	}
	return out, nil
}

// Addresses returns where a connection to host goes, in the order in which they are to be tried. It is for
// protocols that open their sockets themselves.
func (d *Dialer) Addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if len(d.fixed) > 0 {
		return d.reachable(host, []netip.Addr{d.nextFixed()})
	}
	all, err := d.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	if all, err = d.reachable(host, all); err != nil {
		return nil, err
	}
	turn := int((d.turn.Add(1) - 1) % uint64(len(all)))
	return append(slices.Clone(all[turn:]), all[:turn]...), nil
}

// Source returns the next local address for a connection to remote; invalid says that the system chooses, or that
// remote is none of Addresses.
func (d *Dialer) Source(remote netip.Addr) netip.Addr {
	for range d.sources {
		if next := d.sources[(d.local.Add(1)-1)%uint64(len(d.sources))]; next.Is4() == remote.Is4() {
			return next
		}
	}
	return netip.Addr{}
}

// dial opens a connection to an address that is reachable.
func (d *Dialer) dial(ctx context.Context, network string, remote netip.Addr, port string) (net.Conn, error) {
	addr := net.JoinHostPort(remote.String(), port)
	if len(d.sources) == 0 {
		return d.plain.DialContext(ctx, network, addr)
	}
	from := d.Source(remote)
	bound := d.plain
	bound.Control = lateBind
	if network == "udp" {
		bound.LocalAddr = &net.UDPAddr{IP: from.AsSlice(), Zone: from.Zone()}
	} else {
		bound.LocalAddr = &net.TCPAddr{IP: from.AsSlice(), Zone: from.Zone()}
	}
	return bound.DialContext(ctx, network, addr)
}

// resolve returns the addresses of host: those that are known, or else it asks for them, once for all who
// wait. With a refresh it goes on asking in the background from then on.
func (d *Dialer) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr.Unmap()}, nil
	}
	if d.refresh <= 0 {
		return d.lookup(ctx, host)
	}
	if known := d.known.Load(); known != nil {
		return *known, nil
	}
	if err := d.take(ctx, host); err != nil {
		return nil, err
	}
	defer func() { <-d.asking }()
	if known := d.known.Load(); known != nil {
		return *known, nil
	}
	found, err := d.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, netip.Addr.Compare)
	d.known.Store(&found)
	d.follow(host)
	return found, nil
}

// take waits until nobody else asks for host. Who watches lookups over ctx hears of one meanwhile: to wait for
// somebody else's is no different.
func (d *Dialer) take(ctx context.Context, host string) error {
	if watch := httptrace.ContextClientTrace(ctx); watch != nil && watch.DNSStart != nil {
		watch.DNSStart(httptrace.DNSStartInfo{Host: host})
	}
	select {
	case d.asking <- struct{}{}:
	case <-ctx.Done():
		return &net.DNSError{Err: ctx.Err().Error(), Name: host, IsTimeout: true}
	}
	if watch := httptrace.ContextClientTrace(ctx); watch != nil && watch.DNSDone != nil {
		watch.DNSDone(httptrace.DNSDoneInfo{})
	}
	return nil
}

func (d *Dialer) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	found, err := d.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	seen := map[netip.Addr]bool{}
	out := found[:0]
	for _, a := range found {
		if a = a.Unmap(); !seen[a] {
			seen[a] = true
			out = append(out, a)
		}
	}
	return out, nil
}

// follow starts asking for host every refresh, once.
func (d *Dialer) follow(host string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.stop != nil {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	d.stop = stop
	d.loop.Go(func() { d.ask(ctx, host) })
}

// ask asks for host every refresh until ctx ends. What fails here makes the next connection ask for itself,
// so that its request tells of it; connections that are open are left alone.
func (d *Dialer) ask(ctx context.Context, host string) {
	tick := time.NewTicker(d.refresh)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		limited, cancel := context.WithTimeout(ctx, refreshTimeout)
		found, err := d.lookup(limited, host)
		cancel()
		switch {
		case err == nil:
			slices.SortFunc(found, netip.Addr.Compare)
			d.known.Store(&found)
		case ctx.Err() == nil:
			d.known.Store(nil)
		}
	}
}

// Close ends the asking. Connections stay as they are.
func (d *Dialer) Close() error {
	d.mu.Lock()
	d.closed = true
	stop := d.stop
	d.mu.Unlock()
	if stop != nil {
		stop()
	}
	d.loop.Wait()
	return nil
}
