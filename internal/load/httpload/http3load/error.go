package http3load

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"syscall"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"proofload/internal/load/transport"
)

// ended is the error of a request whose context, or time, has ended.
func ended(ctx context.Context, op string, err error) *transport.Error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return &transport.Error{Kind: transport.KindCancelled, Op: op, Err: err}
	}
	return &transport.Error{Kind: transport.KindTimeout, Op: op, Err: err}
}

// classify finds the kind of an error of QUIC or HTTP/3.
func classify(op string, err error) *transport.Error {
	if e, ok := errors.AsType[*transport.Error](err); ok {
		return e
	}
	if _, idle := errors.AsType[*quic.IdleTimeoutError](err); idle && op == transport.OpDial { // nobody answered, as of a port that is closed
		return &transport.Error{Kind: transport.KindConnect, Op: op, Err: err}
	}
	return &transport.Error{Kind: kindOf(err), Op: op, Err: err}
}

func kindOf(err error) transport.Kind {
	if e, ok := errors.AsType[*http3.Error](err); ok {
		return kindOfHTTP(e)
	}
	if e, ok := errors.AsType[*quic.TransportError](err); ok {
		return kindOfTransport(e)
	}
	var (
		handshake   *quic.HandshakeTimeoutError
		idle        *quic.IdleTimeoutError
		stateless   *quic.StatelessResetError
		version     *quic.VersionNegotiationError
		stream      *quic.StreamError
		application *quic.ApplicationError
	)
	switch {
	case errors.As(err, &handshake): // nobody answered: there is no other sign of a port that is closed
		return transport.KindConnect
	case errors.As(err, &idle):
		return transport.KindTimeout
	case errors.As(err, &stateless):
		return transport.KindReset
	case errors.As(err, &version):
		return transport.KindNotSpoken
	case errors.As(err, &stream) && stream.Remote:
		return transport.KindStreamReset
	case errors.As(err, &application) && application.Remote:
		return transport.KindGoAway
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF): // the stream ended too early
		return transport.KindProtocol
	}
	return transport.Classify(err, transport.KindProtocol)
}

// kindOfHTTP tells what the server ended, a stream or the connection, from what we did not understand.
func kindOfHTTP(e *http3.Error) transport.Kind {
	if !e.Remote {
		return transport.KindProtocol
	}
	var stream *quic.StreamError
	if errors.As(e, &stream) {
		return transport.KindStreamReset
	}
	return transport.KindGoAway
}

// noProtocol is the alert of a server that speaks none of the protocols that were offered.
const noProtocol = 120

func kindOfTransport(e *quic.TransportError) transport.Kind {
	var (
		cert  *tls.CertificateVerificationError
		errno syscall.Errno
	)
	switch {
	case errors.As(e, &errno): // of the socket
		return transport.Classify(errno, transport.KindConnect)
	case errors.As(e, &cert):
		return transport.Classify(cert, transport.KindTLS)
	case e.ErrorCode.IsCryptoError():
		if uint64(e.ErrorCode)&0xff == noProtocol || strings.HasSuffix(e.Error(), "no application protocol") {
			return transport.KindNotSpoken
		}
		return transport.KindTLS
	case e.ErrorCode == quic.ConnectionRefused:
		return transport.KindConnect
	}
	return transport.KindProtocol
}
