package fleet

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"proofload/internal/wire"
)

// Lines makes the server end of credentials note why connections end. A stream whose connection is gone ends
// with "context canceled", as one does that its caller has given up; people want to know which it was.
func Lines(c credentials.TransportCredentials) credentials.TransportCredentials { return lines{c} }

type lines struct {
	credentials.TransportCredentials
}

// ServerHandshake implements credentials.TransportCredentials.
func (l lines) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := l.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return conn, info, err
	}
	return &line{Conn: conn}, info, nil
}

// Clone implements credentials.TransportCredentials.
func (l lines) Clone() credentials.TransportCredentials { return lines{l.TransportCredentials.Clone()} }

// line is a connection that knows why it ended.
type line struct {
	net.Conn

	mu    sync.Mutex
	over  bool
	cause error // of the first read that failed; nil: this end closed it
}

// Read implements net.Conn.
func (l *line) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if err != nil {
		l.mu.Lock()
		if !l.over {
			l.over, l.cause = true, err
		}
		l.mu.Unlock()
	}
	return n, err
}

// Close implements net.Conn.
func (l *line) Close() error {
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	return l.Conn.Close()
}

// RemoteAddr implements net.Conn. The address leads back to the line, because gRPC shows handlers nothing else
// of a connection.
func (l *line) RemoteAddr() net.Addr { return end{l.Conn.RemoteAddr(), l} }

// end is the address of the other end of a line.
type end struct {
	net.Addr
	line *line
}

// why says why the connection ended; ok is false while it stands.
func (l *line) why() (text string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !l.over:
		return "", false
	case l.cause == nil:
		return "nothing was heard over it any more", true
	case errors.Is(l.cause, io.EOF), errors.Is(l.cause, io.ErrUnexpectedEOF):
		return "the other end closed it", true
	case errors.Is(l.cause, syscall.ECONNRESET):
		return "the other end reset it", true
	case errors.Is(l.cause, syscall.ETIMEDOUT):
		return "the other end cannot be reached any more", true
	}
	return l.cause.Error(), true
}

// remote returns the address of the other end of a stream, and the line to it if it is known.
func remote(ctx context.Context) (net.Addr, *line) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil, nil
	}
	if e, ok := p.Addr.(end); ok {
		return e.Addr, e.line
	}
	return p.Addr, nil
}

// parting says in words why the stream of a worker has ended that did not say goodbye.
func parting(ctx context.Context, err error) string {
	if err == nil {
		return "it closed its stream without a goodbye"
	}
	if status.Code(err) != codes.Canceled && !errors.Is(err, context.Canceled) {
		return status.Convert(err).Message()
	}
	via := ""
	if by := metadata.ValueFromIncomingContext(ctx, wire.MetaRelayedBy); len(by) > 0 {
		via = by[0]
	}
	lost, gone := "", false
	if _, l := remote(ctx); l != nil {
		lost, gone = l.why()
	}
	switch {
	case gone && via != "":
		return "the connection to coordinator " + via + ", which relayed it, is gone: " + lost
	case gone:
		return "its connection is gone: " + lost
	case via != "":
		return "its stream through coordinator " + via + " has ended without a goodbye"
	}
	return "it gave its stream up without a goodbye"
}
