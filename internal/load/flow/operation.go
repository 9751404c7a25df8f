package flow

import (
	"context"
	"time"

	"proofload/internal/load/transport"
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
	began     time.Time       // set before do is called: when the step was begun
	sent      time.Time       // just before something was written; zero: nothing was
	first     time.Time       // when the first bytes of an answer were there; zero: none came, or the protocol does not tell
	ended     time.Time       // zero: when do returned
	connect   time.Duration   // 0: the connection was open already
	parts     transport.Parts // of connect
	in, out   int64           // bytes
	trace     string          // id of the trace that it carried; empty: none
	completed bool            // there was an answer that response describes
	response  expression.Response
	stream    stream
}

// stream is what came of a request whose answer is messages.
type stream struct {
	open  time.Time // when the first message was awaited from; zero: it is no stream, or it did not open
	first time.Time // when the first message was there; zero: none came
	last  time.Time
	count int64 // messages that came
	// Of a script: the instant from which its next reply counts (zero: nothing was sent or awaited since the last one),
	// how long it has waited so far and how long before that instant, and the first message without that.
	asked          time.Time
	waited, rested time.Duration
	answer         time.Time
	whole          bool // when none comes, the answer is the end and not the opening
}

// arrived notes a message of a stream, and tells the sink how long after the one before it came.
func (it *Iteration) arrived(s *Step, at time.Time) {
	x := &it.exchange
	x.stream.count++
	if x.stream.first.IsZero() {
		x.stream.began(at)
		it.Sink.Began("", it.Clock.Now()) // from now on nothing is awaited from the target
	} else {
		it.Sink.Timed(s, TimingGap, at.Sub(x.stream.last), it.Clock.Now())
	}
	x.stream.last = at
}

// began notes the first message. A script's own waits are no part of the answer's times, as thinking is not, unless
// the message came during them, or before it was asked for: then the target needed that time.
func (s *stream) began(at time.Time) {
	s.first, s.answer = at, at
	if !s.asked.IsZero() && !at.Before(s.asked) {
		s.answer = at.Add(-s.rested)
	}
}

// answered is when the answer of a request that went well was there: of a stream with its first message, what its
// script had waited taken out, or when it was open if none came.
func (x *exchange) answered() time.Time {
	switch {
	case !x.stream.answer.IsZero():
		return x.stream.answer
	case !x.stream.open.IsZero() && !x.stream.whole:
		return x.stream.open
	}
	return x.ended
}
