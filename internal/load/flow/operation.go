package flow

import (
	"context"
	"time"

	"proofload/internal/scenario/expression"
)

// operation is what a step does in its protocol, compiled. It is immutable and used by many iterations at
// once; what one execution needs is kept in the Iteration.
type operation interface {
	// build evaluates the templates of the request. Nothing is sent when it fails.
	build(it *Iteration) error
	// do sends what was built last, awaits the answer, and says in x what came of it, also when it fails. The
	// error of a request that failed is a *transport.Error; another one is a defect of the worker.
	do(ctx context.Context, it *Iteration, x *exchange) error
}

// exchange is what came of one request, as its protocol tells it.
type exchange struct {
	began     time.Time     // set before do is called: when the step was begun
	sent      time.Time     // just before something was written; zero: nothing was
	ended     time.Time     // zero: when do returned
	connect   time.Duration // 0: the connection was open already
	in, out   int64         // bytes
	trace     string        // id of the trace that it carried; empty: none
	completed bool          // there was an answer that response describes
	response  expression.Response
	stream    stream
}

// stream is what came of a request whose answer is messages.
type stream struct {
	open  time.Time // when the first message was awaited from; zero: it is no stream, or it did not open
	first time.Time // when the first message was there; zero: none came
	last  time.Time
	count int64 // messages that came
	whole bool  // when none comes, the answer is the end and not the opening
}

// arrived notes a message of a stream, and tells the sink how long after the one before it came.
func (it *Iteration) arrived(s *Step, at time.Time) {
	x := &it.exchange
	x.stream.count++
	if x.stream.first.IsZero() {
		x.stream.first = at
		it.Sink.Began("", it.Clock.Now()) // from now on nothing is awaited from the target
	} else {
		it.Sink.Gap(s, at.Sub(x.stream.last), it.Clock.Now())
	}
	x.stream.last = at
}

// answered is when the answer of a request that went well was there: of a stream with its first message, or
// when it was open if none came.
func (x *exchange) answered() time.Time {
	switch {
	case !x.stream.first.IsZero():
		return x.stream.first
	case !x.stream.open.IsZero() && !x.stream.whole:
		return x.stream.open
	}
	return x.ended
}
