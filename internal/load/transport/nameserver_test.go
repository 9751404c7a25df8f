package transport

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// nameServer is a DNS server of its own.
type nameServer struct {
	conn net.PacketConn
	wg   sync.WaitGroup

	mu    sync.Mutex
	names map[string][]netip.Addr // a name with no address is refused with SERVFAIL
	conns []net.Conn              // of those who ask
	ended bool
}

// serveNames answers what is in names, with SERVFAIL what has no address there, never what is "silent.test.",
// and with NXDOMAIN everything else.
func serveNames(t *testing.T, names map[string][]netip.Addr) (*nameServer, *net.Resolver) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{conn: conn, names: names}
	s.wg.Go(s.serve)
	t.Cleanup(func() {
		_ = conn.Close()
		s.wg.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended = true
		for _, c := range s.conns {
			_ = c.Close() // a lookup goes on for seconds after nobody waits for it any more
		}
	})
	return s, &net.Resolver{PreferGo: true, Dial: s.dial}
}

func (s *nameServer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, net.ErrClosed
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "udp", s.conn.LocalAddr().String())
	if err == nil {
		s.conns = append(s.conns, c)
	}
	return c, err
}

func (s *nameServer) set(name string, addrs ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[name] = nil
	for _, a := range addrs {
		s.names[name] = append(s.names[name], netip.MustParseAddr(a))
	}
}

func (s *nameServer) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.names, name)
}

func (s *nameServer) serve() {
	buf := make([]byte, 1500)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 || m.Questions[0].Name.String() == "silent.test." {
			continue
		}
		if out, err := s.answer(m); err == nil {
			_, _ = s.conn.WriteTo(out, from)
		}
	}
}

func (s *nameServer) answer(m dnsmessage.Message) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := m.Questions[0]
	out := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, RecursionAvailable: true}, Questions: m.Questions}
	addrs, known := s.names[q.Name.String()]
	switch {
	case !known:
		out.RCode = dnsmessage.RCodeNameError
	case len(addrs) == 0:
		out.RCode = dnsmessage.RCodeServerFailure
	}
	for _, a := range addrs {
		var body dnsmessage.ResourceBody
		switch {
		case q.Type == dnsmessage.TypeA && a.Is4():
			body = &dnsmessage.AResource{A: a.As4()}
		case q.Type == dnsmessage.TypeAAAA && a.Is6():
			body = &dnsmessage.AAAAResource{AAAA: a.As16()}
		default:
			continue
		}
		out.Answers = append(out.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}, Body: body})
	}
	return out.Pack()
}
