package worker

import (
	"context"
	"io"
	"slices"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/credentials"

	"proofload/internal/agent/guard"
)

// Program is a program with its arguments, of which the first is its own name. Behind them it is given the
// name of the worker.
type Program struct {
	Path string
	Args []string
}

// guard returns the guard of a worker; nil: it has none.
func (o Options) guard(name string) *guard.Guard {
	if o.Guard.Path == "" {
		return nil
	}
	return guard.New(guard.Options{
		Path: o.Guard.Path, Args: append(slices.Clone(o.Guard.Args), name), Logger: o.Logger,
		Ward: guard.Ward{Name: name, Join: o.Join, TLS: guard.TLS(o.TLS)},
	})
}

// Watch is the guard process of a worker: it watches over the worker at the other end of pipe, and returns
// when that has ended and what is left to do for it is done, or has failed. It ignores the signals that end
// a worker.
func Watch(ctx context.Context, pipe io.Reader, logger hclog.Logger) error {
	guard.Persist()
	log := logger.Named("guard")
	obituary := &guard.Obituary{
		Credentials: func(t guard.TLS) (credentials.TransportCredentials, error) { return Credentials(TLSOptions(t)) },
		Logger:      log,
	}
	return guard.Watch(ctx, guard.WatchOptions{Pipe: pipe, Gone: guard.Orphaned, Duties: []guard.Duty{obituary}, Logger: log})
}
