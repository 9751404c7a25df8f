package grpcload

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"proofload/internal/load/transport"
)

// codeNames are the names of the codes in the protocol, by number.
var codeNames = []string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE",
	"DATA_LOSS", "UNAUTHENTICATED",
}

// codeName returns the name of a code; one that has none is its number.
func codeName(c codes.Code) string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return strconv.FormatUint(uint64(c), 10)
}

// phrases are what the library says of what it has seen, and the kinds of it. The tests make it say each of
// them, so that another version of it cannot say something else unnoticed.
var phrases = []struct {
	text string
	kind transport.Kind
}{
	{"stream terminated by RST_STREAM", transport.KindStreamReset},
	{"received prior goaway", transport.KindGoAway},
	{"server is draining the connection", transport.KindGoAway},
	{"connection is draining", transport.KindGoAway},
	{"received goaway", transport.KindGoAway},
	{"no active streams left to process while draining", transport.KindGoAway},
	{"received message larger than max", transport.KindBody},
	{"unexpected HTTP status code", transport.KindNotSpoken},
	{"unexpected content-type", transport.KindNotSpoken},
	{"without sending trailers", transport.KindClosed},
	{noStatus, transport.KindStreamReset},
	{goneAway, transport.KindGoAway},
	{net.ErrClosed.Error(), transport.KindGoAway}, // the library has closed what the server had given up
}

// noStatus is what is said here of a stream that has ended while the library says that all is well, and no status
// came: one that was reset while it was sent to.
const noStatus = "the call ended without a status"

// goneAway is said of one that has ended so after the server had given the connection up.
const goneAway = "the server gave the connection up and sent no status"

var errResolver = errors.New("the name was not resolved before the deadline")

// outcome is what was seen of a call.
type outcome struct {
	answered bool // the server has sent a status
	sent     bool // the call was given to a connection
}

// classify finds out why a call has failed; nil says that the server has answered with a status.
func (l *link) classify(ctx context.Context, k *call, st *status.Status, seen outcome) *transport.Error {
	text := errors.New(st.Message())
	why := l.causes()
	switch {
	case seen.answered && (st.Code() != codes.DeadlineExceeded || k.Err() == nil):
		return nil
	case why.closed || errors.Is(ctx.Err(), context.Canceled):
		return &transport.Error{Kind: transport.KindCancelled, Op: opCall, Err: text}
	case why.resolving && !seen.sent: // all the time went to the resolver, which says nothing of the target
		return &transport.Error{Kind: transport.KindResolver, Op: opConnect, Err: errResolver}
	case ctx.Err() != nil || k.Err() != nil || st.Code() == codes.DeadlineExceeded:
		return timeout()
	}
	for _, p := range phrases {
		if strings.Contains(st.Message(), p.text) {
			return &transport.Error{Kind: p.kind, Op: opCall, Err: text}
		}
	}
	e, ok := errors.AsType[*transport.Error](why.opening)
	switch {
	case ok && !seen.sent:
		return e
	case st.Code() == codes.Unavailable && strings.Contains(st.Message(), "server preface") && transport.Classify(why.broken, "") == "":
		return &transport.Error{Kind: transport.KindNotSpoken, Op: opConnect, Err: text}
	case st.Code() == codes.Unavailable && why.broken != nil:
		return transport.NewError(opCall, why.broken, transport.KindProtocol)
	case st.Code() == codes.Internal && !seen.sent:
		return &transport.Error{Kind: transport.KindRequest, Op: opRequest, Err: text}
	}
	return &transport.Error{Kind: transport.KindProtocol, Op: opCall, Err: text}
}
