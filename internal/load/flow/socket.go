package flow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"proofload/internal/load/sockload"
	"proofload/internal/scenario"
	"proofload/internal/scenario/expression"
)

// socket is the operation of a tcp or udp step: it opens a connection, or takes the user's own, and speaks a
// script on it.
type socket struct {
	step    *Step
	client  *sockload.Client
	own     bool // the connection is the user's own and stays open
	script  []action
	timeout time.Duration
	keepAll bool
}

// socket compiles a tcp or udp step, after what reads its response.
func (c *compiler) socket(s *Step, in *scenario.Step) (*socket, error) {
	op := &socket{step: s, client: c.opts.Sockets[in.Target], own: ownConnections(c.opts.plan.Targets[in.Target]), timeout: in.Timeout}
	if op.client == nil {
		return nil, fmt.Errorf("there is no target %q", in.Target)
	}
	var err error
	if op.script, err = c.script(in.Socket.Script, in.Timeout); err != nil {
		return nil, err
	}
	op.keepAll = c.reads(expression.Messages)
	return op, nil
}

func (s *socket) build(it *Iteration) error { return it.converse(s.script, s.keepAll) }

func (s *socket) do(ctx context.Context, it *Iteration, x *exchange) error {
	conn, err := s.connect(ctx, it, x)
	if err != nil {
		return err
	}
	x.stream.open = time.Now()
	x.sent, x.completed = x.stream.open, true
	err = s.speak(it, conn)
	x.ended = time.Now()
	x.in, x.out = conn.Bytes()
	x.response.Body, x.response.Size, x.response.Messages = it.talk.last, int64(len(it.talk.last)), it.talk
	if s.own && err == nil {
		it.session().keep(s.client, conn)
	} else {
		conn.Close()
	}
	return err
}

// connect takes the connection that the user has kept, if it is still good, or opens one.
func (s *socket) connect(ctx context.Context, it *Iteration, x *exchange) (*sockload.Conn, error) {
	if s.own {
		if conn := it.session().take(s.client); conn != nil {
			if conn.Resume(ctx) {
				return conn, nil
			}
			conn.Close()
		}
	}
	var opened sockload.Opened
	conn, err := s.client.Open(ctx, s.timeout, &opened)
	x.connect, x.parts = opened.Connect, opened.Parts
	return conn, err
}

// speak executes the script.
func (s *socket) speak(it *Iteration, conn *sockload.Conn) error {
	for i := range s.script {
		a := &s.script[i]
		var err error
		switch {
		case a.send != nil:
			err = conn.Send(it.talk.bytes(a.send), it.exchange.stream.asking().Add(s.timeout))
		case a.expect != nil:
			err = s.await(it, conn, a.expect)
		default:
			err = s.hold(it, conn, it.span(s.step, i, a.wait), slices.ContainsFunc(s.script[i:], action.expects))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// await receives until what is expected is there. Datagrams that are not it are passed over if that is wanted.
func (s *socket) await(it *Iteration, conn *sockload.Conn, e *expectation) error {
	limit := it.exchange.stream.expecting().Add(e.timeout)
	for passed := 0; ; passed++ {
		it.awaiting(s.step)
		data, at, err := conn.Receive(it.talk.buffer(), limit, e.enough(it))
		switch {
		case errors.Is(err, sockload.ErrQuiet):
			return e.late(passed)
		case errors.Is(err, errOther):
			it.arrived(s.step, at)
			it.talk.came(data, !utf8.Valid(data))
			return e.unmet(it, nil)
		case err != nil:
			return err
		}
		it.arrived(s.step, at)
		it.talk.came(data, !utf8.Valid(data))
		ok, err := e.meets(it)
		if ok && err == nil {
			it.replied(s.step, at)
			return nil
		}
		if !e.skip {
			return e.unmet(it, err)
		}
	}
}

// hold keeps the connection open for a time. What comes over TCP is for the expectation that follows; where
// none does, and over UDP, each read of it is a message.
func (s *socket) hold(it *Iteration, conn *sockload.Conn, d time.Duration, followed bool) error {
	until := it.resting(d)
	defer it.awaiting(s.step)
	if followed && !s.client.Datagrams() {
		return conn.Keep(until)
	}
	return conn.Hold(until, func(data []byte, at time.Time) {
		it.arrived(s.step, at)
		it.talk.came(append(it.talk.buffer(), data...), !utf8.Valid(data))
	})
}

// errOther says that what came cannot become what is expected.
var errOther = errors.New("something else came")

// enough returns what tells, of bytes without bounds, how many of them are what is expected.
func (e *expectation) enough(it *Iteration) sockload.Enough {
	switch {
	case e.until != nil:
		end := it.talk.bytes(e.until)
		seen := 0
		return func(came []byte) (int, error) {
			from := max(0, seen-len(end)+1)
			if i := bytes.Index(came[from:], end); i >= 0 {
				return from + i + len(end), nil
			}
			seen = len(came)
			return -1, nil
		}
	case e.pattern != nil:
		return func(came []byte) (int, error) {
			if at := e.pattern.FindIndex(came); at != nil {
				return at[1], nil
			}
			return -1, nil
		}
	case e.equal != nil:
		want := it.talk.bytes(e.equal)
		return func(came []byte) (int, error) {
			n := min(len(came), len(want))
			switch {
			case !bytes.Equal(came[:n], want[:n]):
				return -1, errOther
			case n < len(want):
				return -1, nil
			}
			return n, nil
		}
	}
	return func(came []byte) (int, error) {
		if int64(len(came)) < e.size {
			return -1, nil
		}
		return int(e.size), nil
	}
}

// take returns the connection that is kept for a target, which is the caller's from now on; nil: there is none.
func (s *Session) take(c *sockload.Client) *sockload.Conn {
	conn := s.sockets[c]
	delete(s.sockets, c)
	return conn
}

// keep keeps a connection for the next step that goes there.
func (s *Session) keep(c *sockload.Client, conn *sockload.Conn) {
	if s.sockets == nil {
		s.sockets = map[*sockload.Client]*sockload.Conn{}
	}
	s.sockets[c] = conn
}
