package blob

import (
	"context"
	"fmt"
	"sync"
)

// OpenOptions say what a store is opened for.
type OpenOptions struct {
	ReadOnly bool // no write is tried, not even at open
	Alone    bool // no other process may have the store open for writing; object stores have no such claim
}

// Driver opens a store in an object store. It must prove that the store can do what opts ask for.
type Driver func(ctx context.Context, l Location, opts OpenOptions) (Opened, error)

var (
	driversMu sync.RWMutex
	linked    = map[string]Driver{}
)

// Register makes the stores of a scheme available to this program. Programs do that at their start: the
// worker needs no store, and so does not carry the libraries of three clouds.
func Register(scheme string, d Driver) {
	driversMu.Lock()
	defer driversMu.Unlock()
	linked[scheme] = d
}

// Open opens the store at l. Its errors are the sentinels of this package; Close what it returns.
func Open(ctx context.Context, l Location, opts OpenOptions) (Opened, error) {
	if !l.Object() {
		f, err := OpenFile(FileOptions{Dir: l.Dir, Shared: l.Shared, ReadOnly: opts.ReadOnly, Alone: opts.Alone})
		if err != nil {
			return nil, err // not f, which would be no nil any more
		}
		return f, nil
	}
	driversMu.RLock()
	driver := linked[l.Scheme]
	driversMu.RUnlock()
	if driver == nil {
		return nil, fmt.Errorf("%w: this program has no driver for %s://", ErrLocation, l.Scheme)
	}
	if opts.Alone {
		return nil, fmt.Errorf("open %s: %w: nothing tells whether a coordinator uses it: ask the coordinator", l, ErrInUse)
	}
	return driver(ctx, l, opts)
}
