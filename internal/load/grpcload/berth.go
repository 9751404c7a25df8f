package grpcload

import (
	"errors"
	"net"
	"slices"
	"sync"

	"proofload/internal/load/transport"
)

// berth is the place of one connection for streams. When that leads to an address that is not the target's any more,
// new streams get another connection, and those that it carries end on it. A berth may be used by any number of
// goroutines.
type berth struct {
	client *Client

	mu     sync.Mutex
	links  []*link // the last one is for new streams
	closed bool
	ending sync.WaitGroup // links that carry nothing any more; none begins to end after closed
}

// take returns the connection for a new stream, and what to call when that has ended.
func (b *berth) take() (l *link, after func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, nil, &transport.Error{Kind: transport.KindCancelled, Op: opCall, Err: net.ErrClosed}
	}
	if n := len(b.links); n == 0 || !b.links[n-1].leads(b.client.opts.Valid) {
		fresh, err := b.client.open()
		if err != nil {
			return nil, nil, err
		}
		if n > 0 && b.links[n-1].streams == 0 {
			b.endLater(n - 1)
		}
		b.links = append(b.links, fresh)
	}
	l = b.links[len(b.links)-1]
	l.streams++
	return l, func() { b.leave(l) }, nil
}

// leave closes a connection whose last stream has ended, if there is another for new ones.
func (b *berth) leave(l *link) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.streams--
	if i := slices.Index(b.links, l); l.streams == 0 && i >= 0 && i < len(b.links)-1 {
		b.endLater(i)
	}
}

// endLater takes away a connection that carries nothing, and ends it while streams go on: the library waits up to 5 s
// for what it has to write, and where the connection leads to may be gone. It is called with the lock held.
func (b *berth) endLater(i int) {
	l := b.links[i]
	b.links = slices.Delete(b.links, i, i+1)
	b.ending.Go(func() { _ = l.end() })
}

// close closes the connections; streams in flight fail with transport.KindCancelled.
func (b *berth) close() error {
	b.mu.Lock()
	links := b.links
	b.links, b.closed = nil, true
	b.mu.Unlock()
	var errs []error
	for _, l := range links {
		errs = append(errs, l.end())
	}
	b.ending.Wait()
	return errors.Join(errs...)
}
