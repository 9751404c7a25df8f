package flow

import (
	"context"
	"time"

	"proofload/internal/load/httpload"
	"proofload/internal/load/transport"
)

// plain is a flow of one HTTP/1.1 request that is made of little, whose answer leads nowhere and of whose body nothing
// is read. It costs so little that whoever starts it need not hand it to a goroutine of its own.
type plain struct {
	step    *Step
	request *request
	client  *httpload.Client
}

// newPlain returns the plain flow that f is; nil: it is none.
func newPlain(f *Flow) *plain {
	if len(f.Steps) != 1 {
		return nil
	}
	s := f.Steps[0]
	r, ok := s.operation.(*request)
	if !ok || !r.simple || !r.discard || s.retry.Times > 0 || r.body != nil && r.body.fixed == nil {
		return nil
	}
	client, ok := r.way.client.(*httpload.Client)
	if !ok || !client.Collects() {
		return nil
	}
	return &plain{step: s, request: r, client: client}
}

// Plain returns the step of a flow that can be executed by Send and Receive; else it is empty.
func (f *Flow) Plain() (step string) {
	if f.plain == nil {
		return ""
	}
	return f.plain.step.Name
}

// Send is the first half of Run for a plain flow, which waits for nothing: it sends the request, and has r told when
// Receive is to be called. It reports whether it has; if not, nothing was sent and Run is the way.
func (it *Iteration) Send(ctx context.Context, f *Flow, r transport.Receiver) bool {
	q := f.plain
	it.attempted = attempted{step: q.step, intended: it.Intended, report: Report{Step: q.step}}
	it.exchange = exchange{}
	it.values.Response = nil
	if q.request.build(it) != nil { // which Run reports
		return false
	}
	a := &it.attempted
	a.since, a.began = it.Clock.Both()
	it.exchange.began, it.req.Began = a.began, a.began
	if it.pending == nil {
		it.pending = new(httpload.Pending)
	}
	it.pending.Client, it.pending.Receiver = q.client, r
	return it.pending.Send(ctx, &it.req, &it.resp)
}

// Receive is the second half. It reports whether that is done, and then whether all went well and when the answer
// ended; if it is not done Finish has to be called.
func (it *Iteration) Receive() (done, ok bool, ended time.Duration) {
	if !it.pending.Receive() {
		return false, false, 0
	}
	ok, ended = it.received(nil)
	return true, ok, ended
}

// Finish is Receive that waits for what is still to come.
func (it *Iteration) Finish() (ok bool, ended time.Duration) { return it.received(it.pending.Finish()) }

func (it *Iteration) received(err error) (ok bool, ended time.Duration) {
	a := &it.attempted
	ended, _, err = it.conclude(a, a.since, it.take(it.way, &it.exchange, err))
	return err == nil, ended
}
