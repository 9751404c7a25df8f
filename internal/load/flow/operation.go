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
}
