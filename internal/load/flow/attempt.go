package flow

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"proofload/internal/load/transport"
	"proofload/internal/scenario/expression"
)

// Kinds of errors that a step can have besides those of its protocol.
const (
	KindCheck    = "check"    // an expectation did not hold or could not be evaluated, or the status was 400 or above
	KindExtract  = "extract"  // a save or measure could not be evaluated
	KindTemplate = "template" // a template could not be evaluated, so that nothing was sent
	KindData     = "data"     // the row of the data set lacks what the step reads
	KindNotJSON  = "not_json" // an expectation, save or measure reads json, and the body is none
	KindNotXML   = "not_xml"  // one reads the body as XML, and it is none
)

// codeOK is the code of gRPC for success.
const codeOK = "OK"

// Report is what came of one request. Times are durations; Ended is an instant of the Clock. The times of a
// stream that went well are those of its first message, or of its opening if none came; Ended is its end.
type Report struct {
	Step     *Step
	Status   int    // of HTTP; 0: there was no complete response
	Code     string // of gRPC, or with which a WebSocket was closed; empty: there was no complete response
	Kind     string // of the error; empty: success
	Response time.Duration
	Service  time.Duration
	Connect  time.Duration   // 0: the connection was open already
	Parts    transport.Parts // of Connect
	// FirstByte is the time from when the request was sent to the first bytes of its answer, of HTTP; 0: there was none.
	FirstByte time.Duration
	BytesIn   int64
	BytesOut  int64
	Stream    Stream
	Sent      bool // something was written, so that the target may have seen the request
	Retried   bool // the request repeated a failed one
	// Redirected says that a redirect led to the request.
	Redirected bool
	Trace      string // id of the trace that the request carried, in hexadecimal digits; empty: none
	Generator  bool   // the failure is this machine's, not the target's
	Ended      time.Duration
}

// Stream is what came of a request whose answer is messages.
type Stream struct {
	Opened   bool          // it is a stream, and it was open
	Messages int64         // that came
	First    time.Duration // from its opening to the first of them; 0 without any
	Span     time.Duration // from the first to the last
}

// Unsent reports whether there was no request: nothing was written, and not because the target could
// not be reached.
func (r *Report) Unsent() bool {
	return !r.Sent && (r.Generator || r.Kind == KindTemplate || r.Kind == KindData || r.Kind == string(transport.KindRequest))
}

// Timing is what the time of a message counts from.
type Timing uint8

const (
	// TimingGap counts from the message before it.
	TimingGap Timing = iota + 1
	// TimingReply counts, of a message that met what a script expected, from what the script had sent last.
	TimingReply
)

// Sink is told what happens in an iteration, by the goroutine that executes it.
type Sink interface {
	// Began says that the answer to a step is awaited from the run time at on, which lies ahead while the
	// iteration rests; the step has no name while it thinks.
	Began(step string, at time.Duration)
	// Request says that a request has ended, or could not be made: its report is valid until Request
	// returns.
	Request(r *Report)
	// Timed says that a message of a stream came, and how long it took, counted as what says. One that was expected
	// may be told of twice, once as each.
	Timed(s *Step, what Timing, took, at time.Duration)
	// Measure gives the value of a step's measure, whose name is s.Measures()[index], after the
	// request that it was taken from.
	Measure(s *Step, index int, value float64, at time.Duration)
}

// attempted is one attempt at a step.
type attempted struct {
	step     *Step
	intended time.Duration
	began    time.Time
	since    time.Duration // run time of began, of what is sent and received by halves
	retried  bool
	final    bool // set when trying again could not change anything
	hops     int  // redirects that were followed
	report   Report
}

// attempt sends one request, and those to which redirects lead, judges the last response, reports each, and
// returns when the last one ended.
func (it *Iteration) attempt(ctx context.Context, a *attempted) (time.Duration, error) {
	a.report = Report{Step: a.step, Retried: a.retried}
	it.exchange = exchange{}
	it.values.Response = nil
	if err := a.step.operation.build(it); err != nil {
		a.final = true
		a.report.Kind = kindOf(err, KindTemplate)
		now := it.Clock.Now()
		a.report.Ended = now
		it.report(a, now, now)
		return now, err
	}
	ended, again, err := it.send(ctx, a)
	for again {
		// The request that a redirect leads to is due when the one before it has ended.
		a.intended, a.hops = ended, a.hops+1
		a.report = Report{Step: a.step, Retried: a.retried, Redirected: true}
		it.exchange = exchange{}
		ended, again, err = it.send(ctx, a)
	}
	return ended, err
}

// send sends the request that was built last, judges its response unless another request follows, reports it,
// and returns when it ended. Its frame is on the stack of everybody who waits for an answer, and is kept small.
func (it *Iteration) send(ctx context.Context, a *attempted) (ended time.Duration, again bool, err error) {
	now := it.begin(a)
	return it.conclude(a, now, a.step.operation.do(ctx, it, &it.exchange))
}

// begin notes when the request begins, and returns the run time of that.
func (it *Iteration) begin(a *attempted) time.Duration {
	now, wall := it.Clock.Both()
	if it.exchange.began = wall; a.hops == 0 {
		a.began = wall
	}
	it.Sink.Began(a.step.Name, now)
	return now
}

// conclude is the part of send that follows the answer to a request that began at now.
func (it *Iteration) conclude(a *attempted, now time.Duration, err error) (ended time.Duration, again bool, _ error) {
	s, x := a.step, &it.exchange
	wall := x.began
	sent := now
	ended = now + x.ended.Sub(wall)
	// The protocol's instants are nearer to the wire than ours.
	if a.report.Sent = !x.sent.IsZero(); a.report.Sent {
		sent = now + x.sent.Sub(wall)
	}
	if x.ended.IsZero() {
		ended = it.Clock.Now()
	}
	if err == nil && s.follower != nil {
		again, err = s.follower.follow(it, a.hops, a.began)
	}
	if err != nil {
		a.fail(err)
	}
	answered := ended - x.stream.rested
	if at := x.answered(); err == nil && !at.IsZero() {
		answered = min(now+at.Sub(wall), ended)
	}
	if x.completed {
		a.report.Status, a.report.Code = x.response.Status, x.response.Code
		if err == nil && !again {
			x.response.Duration = max(answered-sent, 0)
			a.report.Kind, err = it.judge(s)
			a.final = a.report.Kind == KindData
		}
	}
	a.report.Ended = ended
	it.report(a, sent, answered)
	if err == nil && !again {
		for i, v := range it.measured {
			it.Sink.Measure(s, i, v, ended)
		}
	}
	return ended, again, err
}

// fail fills in the kind of an error of the client.
func (a *attempted) fail(err error) {
	e, ok := errors.AsType[*transport.Error](err)
	if !ok {
		a.report.Kind, a.report.Generator = "internal", true
		return
	}
	a.report.Kind, a.report.Generator = string(e.Kind), transport.IsGenerator(e.Kind)
	a.final = e.Kind == transport.KindRequest
}

// report fills in what is known of the response and tells the sink.
func (it *Iteration) report(a *attempted, sent, answered time.Duration) {
	r, x := &a.report, &it.exchange
	r.Response, r.Service = max(answered-a.intended, 0), max(answered-sent, 0)
	r.Connect, r.Parts, r.BytesIn, r.BytesOut = x.connect, x.parts, x.in, x.out
	if r.Sent && !x.first.IsZero() {
		r.FirstByte = max(x.first.Sub(x.sent), 1) // 0 would say that there was none
	}
	if !x.stream.open.IsZero() {
		r.Stream = Stream{Opened: true, Messages: x.stream.count}
		if r.Stream.Messages > 0 {
			r.Stream.First, r.Stream.Span = x.stream.first.Sub(x.stream.open), x.stream.last.Sub(x.stream.first)
		}
	}
	if r.Sent {
		r.Trace = x.trace
	}
	it.Sink.Request(r)
}

// judge checks the response, saves from it and takes its measures; the error says what did not hold.
// Variables are changed only if all went well.
func (it *Iteration) judge(s *Step) (kind string, err error) {
	r := &it.exchange.response
	it.values.Response = r
	if s.implied {
		if err := implied(r); err != nil {
			return KindCheck, err
		}
	}
	for _, e := range s.expect {
		ok, err := e.Bool(&it.values)
		if err != nil {
			return kindOf(err, KindCheck), fmt.Errorf("expect %s: %w", e.Source(), err)
		}
		if !ok {
			return KindCheck, fmt.Errorf("expect %s: it does not hold%s", e.Source(), outcomeOf(r))
		}
	}
	if err := it.extract(s); err != nil {
		return kindOf(err, KindExtract), err
	}
	return "", nil
}

// kindOf returns the kind of an error of an expression: what was wrong with what it read, if that has a
// kind of its own.
func kindOf(err error, other string) string {
	if _, ok := errors.AsType[*dataError](err); ok {
		return KindData
	}
	if _, ok := errors.AsType[*expression.NotJSONError](err); ok {
		return KindNotJSON
	}
	if _, ok := errors.AsType[*expression.NotXMLError](err); ok {
		return KindNotXML
	}
	return other
}

// implied is what a response has to be when no expression reads its status or code.
func implied(r *expression.Response) error {
	if r.Status >= 400 || r.Code != "" && r.Code != codeOK {
		return errors.New(strings.TrimPrefix(outcomeOf(r), "; "))
	}
	return nil
}

// outcomeOf says with which status or code a response came.
func outcomeOf(r *expression.Response) string {
	switch {
	case r.Code != "":
		return "; code " + r.Code
	case r.Status != 0:
		return "; status " + strconv.Itoa(r.Status)
	}
	return ""
}

// extract evaluates saves and measures.
func (it *Iteration) extract(s *Step) error {
	it.saved, it.measured = it.saved[:0], it.measured[:0]
	for _, x := range s.save {
		v, err := x.program.Eval(&it.values)
		if err != nil {
			return fmt.Errorf("save %s: %w", x.name, err)
		}
		it.saved = append(it.saved, v)
	}
	for _, x := range s.measure {
		v, err := x.program.Number(&it.values)
		if err != nil {
			return fmt.Errorf("measure %s: %w", x.name, err)
		}
		it.measured = append(it.measured, v)
	}
	for i, x := range s.save {
		it.vars[x.name] = it.saved[i]
	}
	return nil
}
