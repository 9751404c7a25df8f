// Package transport is what all protocols of the load engine have in common on their way to a target: the
// kinds of errors, so that the same failure has the same name whatever was spoken.
package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"proofload/internal/metric"
)

// Kind says what went wrong with a request, in one word. It is the value of the label error in
// every result; the names are public and do not change.
type Kind string

// Failures of the target or of the way to it.
const (
	KindDNS      Kind = "dns"      // the name could not be resolved
	KindConnect  Kind = "connect"  // the connection was refused, or the host could not be reached
	KindReset    Kind = "reset"    // the peer reset the connection
	KindTimeout  Kind = "timeout"  // not complete within the request's timeout
	KindTLS      Kind = "tls"      // no TLS session: version, alert, a certificate that is wrong in another way than the next three
	KindProtocol Kind = "protocol" // what came is not valid in the protocol that was spoken
	KindClosed   Kind = "closed"   // the peer closed the connection before the response was complete
	KindBody     Kind = "body"     // the body or message is larger than allowed
	KindLength   Kind = "length"   // the body is shorter or longer than its Content-Length
	KindEncoding Kind = "encoding" // the body is not in the content coding that it says, or in one that was not asked for
	KindRedirect Kind = "redirect" // a redirect that is to be followed leads out of the scenario's targets, or to too many others

	KindTLSName      Kind = "tls_name"      // the certificate is for another name
	KindTLSExpired   Kind = "tls_expired"   // the certificate is not valid any more, or not yet
	KindTLSAuthority Kind = "tls_authority" // nobody who is trusted has signed the certificate

	// KindHandshake is a server that refused a WebSocket; the status says how.
	KindHandshake Kind = "handshake"

	KindExit   Kind = "exit"    // a program ended with another code than 0, or by a signal
	KindNoExit Kind = "no_exit" // a program did not end within its time, and was ended

	KindNotSpoken   Kind = "not_spoken"   // the server does not speak the protocol: no TLS, another version, no HTTP, no WebSocket
	KindStreamReset Kind = "stream_reset" // the server ended one stream of a connection that carries several
	KindGoAway      Kind = "goaway"       // the server gave the connection up with what it carried
)

// KindRequest is a fault of the scenario: the request cannot be expressed in its protocol, for instance
// because a template put a line break into a header. Nothing was sent.
const KindRequest Kind = "request"

// Causes that lie with the generator: they say nothing about the target.
const (
	KindTooManyFiles Kind = "too_many_files" // this process or machine is out of file descriptors
	KindNoPorts      Kind = "no_ports"       // no local port is left for this target
	KindNotStarted   Kind = "not_started"    // there is no such program on this machine, or it may not be executed
	KindNoSource     Kind = "no_source"      // no source address that the scenario names is of the target's family
	KindNoBuffers    Kind = "no_buffers"     // the kernel is out of memory for sockets
	KindResolver     Kind = "resolver"       // this machine's resolver could not be asked, or did not answer
	KindCancelled    Kind = "cancelled"      // the caller's context ended, or the client was closed
)

// IsGenerator reports whether kind is a cause that lies with the load generator.
func IsGenerator(kind Kind) bool { return metric.OriginOf(string(kind)) == metric.OriginGenerator }

// Error is what the client of a protocol returns for a request that failed. Op says what was being done, in
// words for a reader: "dial", "tls handshake", "read response".
type Error struct {
	Kind Kind
	Op   string
	Err  error
}

// Error renders the operation, the kind and the cause.
func (e *Error) Error() string { return e.Op + ": " + string(e.Kind) + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// NewError classifies an error of the network: of a dial, a handshake, a read or a write. fallback is the kind
// of one that is not known.
func NewError(op string, err error, fallback Kind) *Error {
	return &Error{Kind: Classify(err, fallback), Op: op, Err: err}
}

// Operations of errors of opening a connection.
const (
	OpDial      = "dial"
	OpHandshake = "tls handshake"
)

// NewDialError classifies an error of opening a connection. It tells the end of the caller's context from the
// request's timeout, of which dialCtx, made of ctx, has the deadline: the errors of a dialer and of a handshake
// do not always do so.
func NewDialError(ctx, dialCtx context.Context, op string, err error) *Error {
	fallback := KindConnect
	if op == OpHandshake {
		fallback = KindTLS
	}
	var lookup *net.DNSError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return &Error{Kind: KindCancelled, Op: op, Err: err}
	case errors.As(err, &lookup): // one that took all the time is not the target's
		return NewError(op, err, fallback)
	case dialCtx.Err() != nil:
		return &Error{Kind: KindTimeout, Op: op, Err: err}
	}
	return NewError(op, err, fallback)
}

// errnoKinds is the meaning of the errors that the operating system gives.
var errnoKinds = map[syscall.Errno]Kind{
	syscall.EMFILE:        KindTooManyFiles,
	syscall.ENFILE:        KindTooManyFiles,
	syscall.EADDRNOTAVAIL: KindNoPorts,
	syscall.EADDRINUSE:    KindNoPorts, // of a socket that was to get any port
	syscall.EAGAIN:        KindNoPorts, // the same of UDP, when it is connected
	syscall.ENOBUFS:       KindNoBuffers,
	syscall.ENOMEM:        KindNoBuffers,
	syscall.ECONNREFUSED:  KindConnect,
	syscall.EHOSTUNREACH:  KindConnect,
	syscall.ENETUNREACH:   KindConnect,
	syscall.EHOSTDOWN:     KindConnect,
	syscall.ENETDOWN:      KindConnect,
	syscall.EACCES:        KindConnect,
	syscall.EPERM:         KindConnect,
	syscall.ECONNRESET:    KindReset,
	syscall.EPIPE:         KindReset,
	syscall.ECONNABORTED:  KindReset,
	syscall.ETIMEDOUT:     KindTimeout,
}

// Classify finds the kind of an error that a dial, a handshake, a read or a write returned.
func Classify(err error, fallback Kind) Kind {
	var (
		errno  syscall.Errno
		dns    *net.DNSError
		op     *net.OpError
		source *sourceError
	)
	switch {
	case errors.Is(err, context.Canceled):
		return KindCancelled
	case errors.As(err, &source):
		return KindNoSource
	case errors.As(err, &dns): // also one that took all the time: that is not the target's
		return classifyDNS(dns)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return KindTimeout
	case errors.As(err, &errno):
		if kind, ok := errnoKinds[errno]; ok {
			return kind
		}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		return KindClosed
	case isTLS(err):
		return classifyTLS(err)
	case errors.As(err, &op) && op.Timeout():
		return KindTimeout
	}
	return fallback
}

// classifyDNS tells a name that is not known from a lookup that failed because this machine could not
// ask. The resolver passes on the text of such a cause, but not the error.
func classifyDNS(err *net.DNSError) Kind {
	switch {
	case strings.Contains(err.Err, syscall.EMFILE.Error()), strings.Contains(err.Err, syscall.ENFILE.Error()):
		return KindTooManyFiles
	case err.IsNotFound:
		return KindDNS
	}
	return KindResolver
}

// isTLS recognises what crypto/tls returns for alerts, in both directions, and for certificates.
func isTLS(err error) bool {
	var (
		op     *net.OpError
		record tls.RecordHeaderError
		cert   *tls.CertificateVerificationError
	)
	if errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error") {
		return true
	}
	return errors.As(err, &record) || errors.As(err, &cert)
}

// noProtocol ends the error of a server that speaks none of the protocols that were offered; crypto/tls has
// no type for it.
const noProtocol = "tls: no application protocol"

// classifyTLS says why there was no session.
func classifyTLS(err error) Kind {
	var (
		record    tls.RecordHeaderError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		authority x509.UnknownAuthorityError
	)
	switch {
	case errors.As(err, &record), strings.HasSuffix(err.Error(), noProtocol):
		return KindNotSpoken
	case errors.As(err, &name):
		return KindTLSName
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return KindTLSExpired
	case errors.As(err, &authority):
		return KindTLSAuthority
	}
	return KindTLS
}
