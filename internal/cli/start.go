package cli

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"proofload/internal/agent"
	"proofload/internal/lease"
	"proofload/internal/lease/embedded"
	"proofload/internal/result"
	"proofload/internal/result/blob"
	"proofload/internal/run"
)

// startError gives the reasons for which a coordinator or a worker does not start their exit codes
// and what to do: what another process holds may be free later, what cannot be opened was the wrong
// choice. dataFlag and storeFlag are the flags of the command that choose the directories.
func startError(err error, dataFlag, storeFlag string) error {
	var listen *net.OpError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, embedded.ErrInUse):
		return exit(run.ExitNotStarted, fmt.Errorf("%w: stop that one or choose another directory with %s", err, dataFlag))
	case errors.Is(err, blob.ErrInUse):
		return exit(run.ExitNotStarted, fmt.Errorf("%w: try again, or choose another directory with %s", err, storeFlag))
	case errors.Is(err, syscall.EADDRINUSE), errors.Is(err, agent.ErrDirInUse), errors.Is(err, agent.ErrNameTaken):
		return exit(run.ExitNotStarted, err)
	case errors.Is(err, embedded.ErrNotWritable):
		return exit(run.ExitUsage, fmt.Errorf("%w: make it writable for this user or choose another directory with %s", err, dataFlag))
	case errors.Is(err, blob.ErrUnreachable):
		return exit(run.ExitUnreachable, err)
	case errors.Is(err, blob.ErrDenied):
		return exit(run.ExitRefused, err)
	case errors.Is(err, blob.ErrNoBucket), errors.Is(err, blob.ErrUnsuited), errors.Is(err, blob.ErrLocation), errors.Is(err, result.ErrOtherStore):
		return exit(run.ExitUsage, err)
	case errors.Is(err, blob.ErrNotWritable):
		return exit(run.ExitUsage, fmt.Errorf("%w: make it writable for this user or choose another directory with %s", err, storeFlag))
	case errors.Is(err, agent.ErrDirNotWritable), errors.As(err, &listen) && listen.Op == "listen":
		return exit(run.ExitUsage, err)
	case errors.Is(err, lease.ErrNoAnswer):
		return exit(run.ExitUnreachable, err)
	case errors.Is(err, lease.ErrDenied):
		return exit(run.ExitRefused, err)
	}
	return exit(run.ExitInternal, err)
}
