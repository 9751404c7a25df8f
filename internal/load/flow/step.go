package flow

import (
	"errors"
	"fmt"
	"slices"

	"proofload/internal/scenario"
	"proofload/internal/scenario/expression"
)

// Step is one compiled step. It is immutable.
type Step struct {
	Name      string
	Index     int  // within its flow
	Sample    bool // it is none of the flow's: what a program prints is counted under it
	think     *scenario.Distribution
	operation operation // nil: the step thinks
	follower  follower  // nil: an answer leads nowhere else

	expect   []*expression.Program
	implied  bool // the success that the protocol knows of is expected, too
	save     []named
	measure  []named
	measures []string
	proceed  bool // go on with the flow when the step has failed
	retry    scenario.Retry
}

// Measures returns the names of the step's measures, in the order in which they are reported. It must
// not be changed.
func (s *Step) Measures() []string { return s.measures }

type named struct {
	name    string
	program *expression.Program
}

// compiler compiles one step and collects what it reads.
type compiler struct {
	opts  Options
	index int // of the step
	refs  []expression.Ref
}

func (c *compiler) expr(src string) (*expression.Program, error) {
	p, err := expression.CompileExpr(src, expression.Everywhere())
	if err != nil {
		return nil, err
	}
	c.refs = append(c.refs, p.References()...)
	return p, nil
}

func (c *compiler) step(index int, in *scenario.Step) (*Step, error) {
	s := &Step{Name: in.Name, Index: index, think: in.Think}
	if in.Think != nil {
		return s, nil
	}
	s.implied, s.proceed = in.ImplyStatus, in.Continue
	if in.Retry != nil {
		s.retry = *in.Retry
	}
	if err := c.response(s, in); err != nil {
		return nil, err
	}
	var err error
	switch {
	case in.HTTP != nil:
		var r *request
		if r, err = c.http(in); err != nil {
			return nil, err
		}
		if s.operation = r; r.redirects > 0 {
			s.follower = r
		}
	case in.WebSocket != nil:
		s.operation, err = c.webSocket(s, in)
	case in.Program != nil:
		s.operation, err = c.program(s, in)
	case in.Socket != nil:
		s.operation, err = c.socket(s, in)
	case in.GRPC != nil:
		s.operation, err = c.grpc(s, in)
	default:
		err = errors.New("it is of no kind that is known")
	}
	return s, err
}

// response compiles what is done with the response.
func (c *compiler) response(s *Step, in *scenario.Step) error {
	for _, src := range in.Expect {
		e, err := c.expr(src)
		if err != nil {
			return fmt.Errorf("expect %s: %w", src, err)
		}
		s.expect = append(s.expect, e)
	}
	for _, x := range in.Save {
		e, err := c.expr(x.Source)
		if err != nil {
			return fmt.Errorf("save %s: %w", x.Name, err)
		}
		s.save = append(s.save, named{x.Name, e})
	}
	for _, x := range in.Measure {
		e, err := c.expr(x.Source)
		if err != nil {
			return fmt.Errorf("measure %s: %w", x.Name, err)
		}
		s.measure, s.measures = append(s.measure, named{x.Name, e}), append(s.measures, x.Name)
	}
	return nil
}

// reads reports whether something that was compiled so far reads one of the roots.
func (c *compiler) reads(roots ...expression.Root) bool {
	return slices.ContainsFunc(c.refs, func(r expression.Ref) bool { return slices.Contains(roots, r.Root) })
}
