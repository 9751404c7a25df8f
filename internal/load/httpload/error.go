package httpload

import "proofload/internal/load/transport"

// The operations of transport.Error.Op.
const (
	opRequest = "request"
	opWrite   = "write request"
	opHead    = "read response"
	opBody    = "read body"
)

func protocolError(op string, err error) *transport.Error {
	return &transport.Error{Kind: transport.KindProtocol, Op: op, Err: err}
}
