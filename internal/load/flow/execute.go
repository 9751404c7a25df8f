package flow

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strings"
	"sync"
	"time"

	"proofload/internal/load/programload"
	"proofload/internal/load/transport"
	"proofload/internal/scenario"
	"proofload/internal/scenario/expression"
)

// Kinds of errors of programs and of the samples that they print.
const (
	KindGarbage = "garbage" // a line of a program's standard output was no sample
	KindSample  = "sample"  // a sample says that it failed
)

// execution is the operation of a program step.
type execution struct {
	step      *Step
	argv      []text
	env       []pair
	stdin     *text
	samples   bool
	killAfter time.Duration
	timeout   time.Duration
	anyCode   bool // an expression judges the exit code
	keepAll   bool

	mu    sync.Mutex
	steps map[string]*Step // by the name of samples
}

// program compiles a program step, after what reads its response.
func (c *compiler) program(s *Step, in *scenario.Step) (*execution, error) {
	p := in.Program
	e := &execution{step: s, samples: p.Samples, killAfter: p.KillAfter, timeout: in.Timeout, anyCode: !s.implied, steps: map[string]*Step{}}
	s.implied = false // the exit code is judged here, and has a kind of its own
	for _, a := range p.Argv {
		t, err := c.text(a)
		if err != nil {
			return nil, fmt.Errorf("argv: %w", err)
		}
		e.argv = append(e.argv, t)
	}
	var err error
	if e.env, err = c.pairs(p.Env, strings.Clone); err != nil {
		return nil, fmt.Errorf("env: %w", err)
	}
	if p.Stdin != nil {
		stdin, err := c.text(*p.Stdin)
		if err != nil {
			return nil, fmt.Errorf("stdin: %w", err)
		}
		e.stdin = &stdin
	}
	e.keepAll = c.reads(expression.Messages)
	return e, nil
}

func (e *execution) build(it *Iteration) error {
	if err := it.converse(nil, e.keepAll); err != nil {
		return err
	}
	c := &programload.Command{Limit: e.timeout, KillAfter: e.killAfter}
	for i := range e.argv {
		a, err := e.argv[i].string(it)
		if err != nil {
			return fmt.Errorf("argv: %w", err)
		}
		if strings.ContainsRune(a, 0) {
			return fmt.Errorf("argv: argument %d has a zero byte", i)
		}
		c.Argv = append(c.Argv, a)
	}
	for i := range e.env {
		v, err := e.env[i].value.string(it)
		if err != nil {
			return fmt.Errorf("env %s: %w", e.env[i].name, err)
		}
		if strings.ContainsRune(v, 0) {
			return fmt.Errorf("env %s has a zero byte", e.env[i].name)
		}
		c.Env = append(c.Env, e.env[i].name+"="+v)
	}
	if e.stdin != nil {
		var err error
		if c.Stdin, err = e.stdin.append(it, []byte{}); err != nil {
			return fmt.Errorf("stdin: %w", err)
		}
	}
	it.talk.command = c
	return nil
}

// maxPrinted is how much of a program's standard output can be read by expressions.
const maxPrinted = 1 << 20

func (e *execution) do(ctx context.Context, it *Iteration, x *exchange) error {
	var (
		got     programload.Result
		garbage int64
		example error
		printed int64
	)
	c := it.talk.command
	c.Line = func(line []byte, cut bool) {
		if !e.samples {
			if printed += int64(len(line)) + 1; printed <= maxPrinted {
				it.talk.last = append(append(it.talk.last, line...), '\n')
			}
			return
		}
		if err := e.sample(it, line, cut); err != nil {
			if garbage++; garbage == 1 {
				example = err
			}
		}
	}
	err := programload.Execute(ctx, c, &got)
	x.sent, x.ended, x.in, x.out = got.Started, got.Ended, got.In, got.Out
	x.completed = got.Code != ""
	x.response.Code, x.response.Messages = got.Code, it.talk
	x.response.Body, x.response.Size, x.response.Truncated = it.talk.last, got.In, printed > maxPrinted
	if t, ok := err.(*transport.Error); ok && t.Kind == transport.KindExit && e.anyCode { //nolint:errorlint // it is returned as it is
		err = nil
	}
	if err == nil && garbage > 0 {
		err = &transport.Error{Kind: KindGarbage, Op: "read samples", Err: fmt.Errorf("%d lines are no samples; the first: %w", garbage, example)}
	}
	return err
}

// sample is one line of a program that prints samples: a request that it made by itself.
type sample struct {
	Name     string   `json:"name"`
	Duration *float64 `json:"duration_s"`
	OK       *bool    `json:"ok"`
	Status   int      `json:"status"`
}

// sampleName is what a sample may be called: it becomes the label of a series.
var sampleName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// maxSampleNames bounds how many series a step can make.
const maxSampleNames = 64

// sample counts one sample, or says why the line is none.
func (e *execution) sample(it *Iteration, line []byte, cut bool) error {
	if cut {
		return fmt.Errorf("a line is longer than %d bytes", programload.MaxLine)
	}
	var s sample
	if err := json.Unmarshal(line, &s); err != nil {
		return fmt.Errorf("%w is not JSON of a sample", transport.QuoteStart(line, shown))
	}
	if s.Duration == nil || *s.Duration < 0 || *s.Duration > math.MaxInt32 || !sampleName.MatchString(s.Name) || s.Status != 0 && (s.Status < 100 || s.Status > 999) {
		return fmt.Errorf("%w has no name and duration_s that can be counted", transport.QuoteStart(line, shown))
	}
	step := e.named(s.Name)
	if step == nil {
		return fmt.Errorf("there are more than %d names of samples", maxSampleNames)
	}
	it.talk.came(append(it.talk.buffer(), line...), false)
	took := time.Duration(*s.Duration * float64(time.Second))
	r := Report{Step: step, Status: s.Status, Response: took, Service: took, Sent: true, Ended: it.Clock.Now()}
	if failed := s.Status >= 400; s.OK != nil && !*s.OK || s.OK == nil && failed {
		r.Kind = KindSample
	}
	it.Sink.Request(&r)
	return nil
}

// named returns the step under which samples of a name are counted; nil when there are too many.
func (e *execution) named(name string) *Step {
	e.mu.Lock()
	defer e.mu.Unlock()
	s, ok := e.steps[name]
	if !ok && len(e.steps) < maxSampleNames {
		s = &Step{Name: e.step.Name + "." + name, Index: e.step.Index, Sample: true}
		e.steps[name] = s
	}
	return s
}
