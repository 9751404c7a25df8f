package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"proofload/internal/load/transport"
	"proofload/internal/load/wsload"
	"proofload/internal/scenario"
	"proofload/internal/scenario/expression"
)

// webSocket is the operation of a websocket step: it opens a connection, speaks a script and closes it.
type webSocket struct {
	step         *Step
	client       *wsload.Client
	address      request // of which only path and query are used
	headers      []pair
	subprotocols []string
	script       []action
	timeout      time.Duration
	code         int
	reason       string
	sample       float64 // share of the handshakes that carry a traceparent
	keep         bool    // something beyond the script reads messages
	keepAll      bool
}

// webSocket compiles a websocket step, after what reads its response.
func (c *compiler) webSocket(s *Step, in *scenario.Step) (*webSocket, error) {
	w := in.WebSocket
	op := &webSocket{
		step: s, client: c.opts.WebSockets[in.Target], subprotocols: w.Subprotocols, timeout: in.Timeout, code: w.CloseCode, reason: w.CloseReason,
		sample: c.opts.plan.Targets[in.Target].Trace,
	}
	if op.client == nil {
		return nil, fmt.Errorf("there is no target %q", in.Target)
	}
	op.keep = c.reads(expression.Message, expression.Messages, expression.JSON, expression.Body, expression.Size)
	var err error
	if op.address.path, err = c.text(w.Path); err != nil {
		return nil, fmt.Errorf("path: %w", err)
	}
	if op.address.query, err = c.pairs(w.Query, queryEscape); err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	op.address.foldURL()
	if op.headers, err = c.pairs(w.Headers, strings.Clone); err != nil {
		return nil, fmt.Errorf("headers: %w", err)
	}
	if op.script, err = c.script(w.Script, in.Timeout); err != nil {
		return nil, err
	}
	op.keepAll = c.reads(expression.Messages)
	return op, nil
}

func (w *webSocket) build(it *Iteration) error {
	path, err := w.address.target(it)
	if err != nil {
		return err
	}
	if err := it.converse(w.script, w.keepAll); err != nil {
		return err
	}
	it.opening = wsload.Opening{Path: path, Headers: it.opening.Headers[:0], Subprotocols: w.subprotocols, Timeout: w.timeout}
	for i := range w.headers {
		h := &w.headers[i]
		value, err := h.value.string(it)
		if err != nil {
			return fmt.Errorf("header %s: %w", h.name, err)
		}
		it.opening.Headers = append(it.opening.Headers, wsload.Header{Name: h.name, Value: value})
	}
	w.traced(it)
	return nil
}

// traced gives the handshake a traceparent if it is one of the share that is sampled.
func (w *webSocket) traced(it *Iteration) {
	it.trace = ""
	own := func(h wsload.Header) bool { return strings.EqualFold(h.Name, traceparent) }
	if w.sample == 0 || slices.ContainsFunc(it.opening.Headers, own) {
		return
	}
	if parent := it.parent(w.sample, w.step.Index); parent != "" {
		it.opening.Headers = append(it.opening.Headers, wsload.Header{Name: traceparent, Value: parent})
	}
}

func (w *webSocket) do(ctx context.Context, it *Iteration, x *exchange) error {
	var opened wsload.Opened
	conn, err := w.client.Open(ctx, &it.opening, &opened)
	x.trace = it.trace
	x.sent, x.connect, x.parts, x.in, x.out = opened.Sent, opened.Connect, opened.Parts, opened.In, opened.Out
	x.completed, x.response.Status = opened.Status != 0, opened.Status
	if err != nil {
		return err
	}
	x.stream.open = opened.Ready
	err = w.speak(it, conn)
	var code int
	if err == nil {
		it.awaiting(w.step)
		code = conn.Close(w.code, w.reason, time.Now().Add(w.timeout))
	} else {
		conn.Drop()
		code = closeCode(err)
	}
	x.ended = time.Now()
	x.in, x.out = conn.Bytes()
	if code != 0 {
		x.response.Code = strconv.Itoa(code)
	}
	x.response.Body, x.response.Size, x.response.Messages = it.talk.last, int64(len(it.talk.last)), it.talk
	return err
}

// closeCode returns the code of a connection that the server ended; 0 if it did not.
func closeCode(err error) int {
	if closed, ok := errors.AsType[*wsload.ClosedError](err); ok {
		return closed.Code
	}
	if e, ok := errors.AsType[*transport.Error](err); ok && (e.Kind == transport.KindClosed || e.Kind == transport.KindReset) {
		return wsload.CodeAbnormal
	}
	return 0
}

// speak executes the script. Its frame and those of await and hold are on the stack of everybody who holds a
// connection open, which are many: what is not needed while they wait is in functions of its own.
func (w *webSocket) speak(it *Iteration, conn *wsload.Conn) error {
	for i := range w.script {
		var err error
		switch a := &w.script[i]; {
		case a.send != nil:
			err = w.say(it, conn, a)
		case a.expect != nil:
			err = w.await(it, conn, a.expect)
		default:
			err = w.hold(it, conn, w.rest(it, i))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *webSocket) say(it *Iteration, conn *wsload.Conn, a *action) error {
	return conn.Send(a.send.binary, it.talk.bytes(a.send), it.exchange.stream.asking().Add(w.timeout))
}

// await receives until the message comes that is expected.
func (w *webSocket) await(it *Iteration, conn *wsload.Conn, e *expectation) error {
	limit := it.exchange.stream.expecting().Add(e.timeout)
	for passed := 0; ; passed++ {
		it.awaiting(w.step)
		if err := conn.Await(limit, 0); err != nil {
			return late(e, err, passed)
		}
		if done, err := w.came(it, conn, e); done || err != nil {
			return err
		}
	}
}

// late is the error of a wait for a message that is expected.
func late(e *expectation, err error, passed int) error {
	if errors.Is(err, wsload.ErrQuiet) {
		return e.late(passed)
	}
	return err
}

// came reads a message, and reports whether it is the one that is expected.
func (w *webSocket) came(it *Iteration, conn *wsload.Conn, e *expectation) (bool, error) {
	m, err := conn.Take(it.talk.buffer())
	if err != nil {
		return false, err
	}
	it.arrived(w.step, m.At)
	it.talk.came(m.Data, m.Binary)
	ok, err := e.meets(it)
	if err != nil && !e.skip || !ok && !e.skip {
		return false, e.unmet(it, err)
	}
	if ok = ok && err == nil; ok {
		it.replied(w.step, m.At)
	}
	return ok, nil
}

// rest begins a wait of the script, and returns until when it lasts.
func (w *webSocket) rest(it *Iteration, i int) time.Time {
	return it.resting(it.span(w.step, i, w.script[i].wait))
}

// hold keeps the connection open until an instant, and receives what comes.
func (w *webSocket) hold(it *Iteration, conn *wsload.Conn, until time.Time) error {
	for {
		if err := conn.Await(until, w.timeout); err != nil {
			return w.held(it, err)
		}
		if err := w.note(it, conn); err != nil {
			return err
		}
	}
}

// held is the end of a wait with the error of the connection, which is none when nothing came any more.
func (w *webSocket) held(it *Iteration, err error) error {
	if errors.Is(err, wsload.ErrQuiet) {
		it.awaiting(w.step)
		return nil
	}
	return err
}

// note reads a message that came while nothing was expected.
func (w *webSocket) note(it *Iteration, conn *wsload.Conn) error {
	var buffer []byte
	if w.keep {
		buffer = it.talk.buffer()
	}
	m, err := conn.Take(buffer)
	if err != nil {
		return err
	}
	it.arrived(w.step, m.At)
	if w.keep {
		it.talk.came(m.Data, m.Binary)
	}
	return nil
}
