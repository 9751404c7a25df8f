package flow

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"time"

	"proofload/internal/load/feed"
	"proofload/internal/load/httpload"
	"proofload/internal/load/schedule"
	"proofload/internal/load/wsload"
	"proofload/internal/scenario/expression"
)

// Clock is run time.
type Clock interface {
	Now() time.Duration
	// Both returns Now, and the same instant for time spans.
	Both() (time.Duration, time.Time)
}

// Iteration is one execution of a flow, with memory that the next one uses again. It belongs to one
// goroutine. The exported fields are set before Prepare.
type Iteration struct {
	// ID says which rows of data it gets, Ordinal the user's how-manieth iteration it is.
	ID      feed.Identity
	Ordinal int64
	// Intended is the run time from which the first step's response time counts.
	Intended time.Duration
	Clock    Clock
	Sink     Sink
	Setup    map[string]any // what setup has saved; only read
	// Session is what the user keeps from one iteration to the next. nil: the iteration has its own.
	Session *Session

	// Collect says that answers may be taken in when the client's Collector comes to it.
	Collect bool

	own       Session
	program   *Program
	rows      []int64 // by data set
	values    expression.Values
	user      expression.UserValues
	vars      map[string]any
	exchange  exchange
	attempted attempted // the present one; here, so that a report to the sink costs no memory
	req       httpload.Request
	resp      httpload.Response
	opening   wsload.Opening
	talk      *conversation     // nil: it has spoken no script yet
	rpc       *rpcState         // nil: it has made no call yet
	pending   *httpload.Pending // nil: it has sent nothing by halves yet
	timer     *time.Timer
	saved     []any
	measured  []float64
	scratch   []byte
	url       []byte
	body      []byte
	packed    []byte // the body, compressed

	// Of the present request: where it goes, how many of its headers are the step's, the step's number, and the
	// id of its trace.
	way   *way
	given int
	index int
	trace string
	plain bytes.Buffer // the body of the answer, decompressed
}

// Prepare finds the rows of the data that the flow reads; feed.ErrExhausted says that there is none
// left, before anything was sent. It must be called before Run.
func (it *Iteration) Prepare(p *Program, f *Flow) error {
	if it.program != p {
		it.program, it.rows = p, make([]int64, len(p.feeds))
	}
	if it.vars == nil {
		it.vars = map[string]any{}
	}
	clear(it.vars)
	for _, set := range f.data {
		row, err := p.feeds[set].Row(it.ID)
		if err != nil {
			return err
		}
		it.rows[set] = row
	}
	it.values = expression.Values{
		Params: p.params, Env: p.env, Setup: it.Setup, Vars: it.vars, Secrets: p.secrets, Data: it,
	}
	if it.ID.User >= 0 {
		it.user = expression.UserValues{ID: it.ID.User, Iteration: it.Ordinal}
		it.values.User = &it.user
	}
	return nil
}

// Cell implements expression.Rows.
func (it *Iteration) Cell(set, column string) (any, error) {
	i, ok := it.program.sets[set]
	if !ok {
		return nil, &expression.AbsentError{Path: "data." + set}
	}
	v, ok, err := it.program.feeds[i].Cell(it.rows[i], column, it.ID)
	if err == nil && !ok {
		return nil, &dataError{expression.AbsentError{Path: "data." + set + "." + column, Why: "this row does not have it"}}
	}
	return v, err
}

// dataError says that a row lacks what was read of it. It is absent like anything else, and the fault of
// nobody but the data.
type dataError struct{ absent expression.AbsentError }

func (e *dataError) Error() string { return e.absent.Error() }

// Unwrap lets expressions that allow absence find it.
func (e *dataError) Unwrap() error { return &e.absent }

// Header implements expression.HeaderReader.
func (it *Iteration) Header(name string) (string, bool) {
	v, ok := it.resp.Header(name)
	return string(v), ok
}

// Run executes the flow and reports whether every step went well. It returns soon after ctx has
// ended; what it cut is reported as failed. Err is the first error, without the values of secrets.
func (it *Iteration) Run(ctx context.Context, f *Flow) (ok bool, err error) {
	ok = true
	if it.Session == nil && it.program.sessions {
		defer it.own.end()
	}
	intended := it.Intended
	for _, s := range f.Steps {
		if s.think != nil {
			if intended += it.pause(s); !it.rest(ctx, "", intended) {
				return false, context.Cause(ctx)
			}
			continue
		}
		ended, stepErr := it.step(ctx, s, intended)
		if stepErr != nil {
			ok = false
			if err == nil {
				err = it.failed(s, stepErr)
			}
			if !s.proceed || ctx.Err() != nil {
				return false, err
			}
		}
		intended = ended
	}
	return ok, err
}

// pause draws how long a step thinks. Like failed it is a function of its own to keep the frame of Run, which
// stays on the stack of everybody who thinks, small.
func (it *Iteration) pause(s *Step) time.Duration {
	return it.ID.Draw.Named("think").Child(uint64(s.Index)).Duration(*s.think)
}

func (it *Iteration) failed(s *Step, err error) error {
	return fmt.Errorf("step %s: %w", s.Name, it.program.redactor.error(err))
}

// Saved returns what the iteration has saved.
func (it *Iteration) Saved() map[string]any { return maps.Clone(it.vars) }

// rest waits until the run time until; false says that ctx has ended before. The sink learns that
// until then nothing is awaited from the target, and then the step.
func (it *Iteration) rest(ctx context.Context, step string, until time.Duration) bool {
	wait := until - it.Clock.Now()
	if wait <= 0 || ctx.Err() != nil {
		return ctx.Err() == nil
	}
	it.Sink.Began(step, until)
	if wait >= parkedAfter {
		it.park()
	}
	if it.timer == nil {
		it.timer = time.NewTimer(wait)
	} else {
		it.timer.Reset(wait)
	}
	select {
	case <-it.timer.C:
		return true
	case <-ctx.Done():
		it.timer.Stop()
		return false
	}
}

// step sends the step's request, again while it fails and is to be repeated, and returns when the
// last one ended.
func (it *Iteration) step(ctx context.Context, s *Step, intended time.Duration) (ended time.Duration, err error) {
	for attempt := 0; ; attempt++ {
		it.attempted = attempted{step: s, intended: intended, retried: attempt > 0}
		a := &it.attempted
		ended, err = it.attempt(ctx, a)
		if err == nil || a.final || attempt == s.retry.Times || ctx.Err() != nil {
			return ended, err
		}
		intended = ended + s.retry.Backoff
		if !it.rest(ctx, s.Name, intended) {
			return ended, err
		}
	}
}

// keptSize is how large a buffer may be that is kept while it is not needed.
const keptSize = 16 << 10

// parkedAfter is how long an iteration must rest for its buffers to be given back: anew they cost far less than that.
const parkedAfter = time.Second

// park gives back what nothing reads until the next step.
func (it *Iteration) park() {
	it.values.Response = nil
	it.resp, it.exchange, it.req.Body = httpload.Response{}, exchange{}, nil
	it.rpc.trim()
	it.body, it.packed, it.scratch, it.url, it.saved, it.measured = nil, nil, nil, nil, nil, nil
}

// Trim gives back large buffers, between two iterations.
func (it *Iteration) Trim() {
	it.resp.Trim()
	it.rpc.trim()
	it.exchange, it.req.Body = exchange{}, nil
	clear(it.vars)
	it.talk.trim()
	for _, buffer := range []*[]byte{&it.body, &it.packed, &it.scratch, &it.url} {
		if cap(*buffer) > keptSize {
			*buffer = nil
		}
	}
}

// Once returns the identity of an iteration that belongs to no phase: of setup and teardown.
func Once(seed uint64, name string) feed.Identity {
	d := schedule.NewDraw(seed, name)
	return feed.Identity{User: -1, Draw: d, Owner: d}
}
