package lease

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

var (
	// ErrLeadershipLost is the cause with which a leader's context ends.
	ErrLeadershipLost = errors.New("leadership lost")
	// ErrFenced says that a write was refused because the term is over. Nothing was written; step
	// down and acknowledge nothing.
	ErrFenced = errors.New("write refused: the term is over")
	// ErrConflict says that a write was refused because one of its keys is not at the revision that
	// was expected. Nothing was written.
	ErrConflict = errors.New("write refused: a key has changed")
	// ErrUnknown says that the reply to a write was lost: it may have been applied, may still be, or
	// never will. Only a linearizable read can tell.
	ErrUnknown = errors.New("outcome of the write is unknown")
	// ErrTooLarge says that a write exceeds what one transaction can carry. Nothing was written.
	ErrTooLarge = errors.New("write is too large for one transaction")
	// ErrNoSpace says that etcd has used up its space quota and takes no more writes. Nothing was written.
	ErrNoSpace = errors.New("etcd is out of space: compact and defragment it, then clear its alarm")
	// ErrDenied says that etcd refused the credentials. Nothing was written.
	ErrDenied = errors.New("etcd denied access: check its user, password and certificates")
	// ErrNotFound says that a key does not exist.
	ErrNotFound = errors.New("no such key")
	// ErrNoLeader says that nobody leads at the moment.
	ErrNoLeader = errors.New("no leader is elected")
	// ErrResign is returned by a leader's function in Run to give leadership up and to sit out one TTL.
	ErrResign = errors.New("leadership resigned")
)

// definite maps the errors with which etcd refuses a request without applying it.
var definite = []struct {
	is  error
	say error
}{
	{rpctypes.ErrTooManyOps, ErrTooLarge},
	{rpctypes.ErrRequestTooLarge, ErrTooLarge},
	{rpctypes.ErrNoSpace, ErrNoSpace},
	{rpctypes.ErrPermissionDenied, ErrDenied},
	{rpctypes.ErrPermissionNotGranted, ErrDenied},
	{rpctypes.ErrAuthFailed, ErrDenied},
	{rpctypes.ErrUserEmpty, ErrDenied},
	{rpctypes.ErrInvalidAuthToken, ErrDenied},
}

// refused returns the sentinel for an error that certainly left no trace, and nil for any other.
func refused(err error) error {
	err = rpctypes.Error(err)
	for _, d := range definite {
		if errors.Is(err, d.is) {
			return d.say
		}
	}
	return nil
}

// readError wraps the error of a read so that what the user can mend is named.
func readError(op, key string, err error) error {
	if say := refused(err); say != nil {
		return fmt.Errorf("%s %s: %w: %w", op, key, say, err)
	}
	return fmt.Errorf("%s %s: %w", op, key, err)
}

// isGone tells that a lease does not exist any more.
func isGone(err error) bool { return errors.Is(rpctypes.Error(err), rpctypes.ErrLeaseNotFound) }

// isDone tells that err is only the end of a context.
func isDone(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
