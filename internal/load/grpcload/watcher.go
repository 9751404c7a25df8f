package grpcload

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/stats"
)

// call is the context of one call, and what was seen of it on the wire.
type call struct {
	context.Context
	goaways int // of its link, when it began

	mu       sync.Mutex
	sent     time.Time // the head was given to the connection
	in, out  int64
	answered bool // the server has sent a status
}

// hasAnswer reports whether the server has sent a status.
func (c *call) hasAnswer() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answered
}

type callKey struct{}

// Value implements context.Context.
func (c *call) Value(key any) any {
	if key == (callKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// watcher notes in a call what the library does for it.
type watcher struct{}

// TagRPC implements stats.Handler.
func (watcher) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// TagConn implements stats.Handler.
func (watcher) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (watcher) HandleConn(context.Context, stats.ConnStats) {}

// HandleRPC implements stats.Handler.
func (watcher) HandleRPC(ctx context.Context, s stats.RPCStats) {
	switch s.(type) {
	case *stats.OutHeader, *stats.OutPayload, *stats.InHeader, *stats.InPayload, *stats.InTrailer:
	default:
		return
	}
	c, ok := ctx.Value(callKey{}).(*call)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch s := s.(type) {
	case *stats.OutHeader:
		c.sent = time.Now()
	case *stats.OutPayload:
		c.out += int64(s.WireLength)
	case *stats.InHeader:
		c.in += int64(s.WireLength)
	case *stats.InPayload:
		c.in += int64(s.WireLength)
	case *stats.InTrailer:
		c.in += int64(s.WireLength)
		c.answered = true
	}
}
