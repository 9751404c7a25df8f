package http2load

import (
	"context"
	"errors"
	"time"

	"proofload/internal/load/httpload"
	"proofload/internal/load/transport"
)

// attempts counts how often a request was tried, and says when that has an end.
type attempts struct {
	limit  time.Time // when the request has failed by timeout; zero: never
	unsent int
	again  bool // the server has once said that it did not begin with it
}

// untouchedError is errUntouched with what is wrong if it happens again.
type untouchedError struct{ failure *transport.Error }

func (e *untouchedError) Error() string { return e.failure.Error() }

// Is makes it errUntouched.
func (e *untouchedError) Is(target error) bool { return target == errUntouched }

// final returns the failure of a request that is not tried again; nil: it is.
func (a *attempts) final(failure error) error {
	switch {
	case errors.Is(failure, errUnsent) && a.unsent == httpload.MostUnsent:
		return &transport.Error{Kind: transport.KindGoAway, Op: opWrite, Err: errors.New("the server gives up every connection before it has a request")}
	case errors.Is(failure, errUnsent) && (a.limit.IsZero() || time.Now().Before(a.limit)):
		a.unsent++
		return nil
	case errors.Is(failure, errUnsent):
		return transport.NewError(opWrite, context.DeadlineExceeded, transport.KindTimeout)
	case !errors.Is(failure, errUntouched):
		return failure
	case !a.again:
		a.again = true
		return nil
	}
	if e, ok := errors.AsType[*untouchedError](failure); ok {
		return e.failure
	}
	return &transport.Error{Kind: transport.KindGoAway, Op: opRead, Err: errors.New("the server gave up the second connection as well")}
}
