package flow

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"proofload/internal/load/httpload"
	"proofload/internal/scenario"
	"proofload/internal/scenario/expression"
)

// Step is one compiled step. It is immutable.
type Step struct {
	Name    string
	Index   int // within its flow
	think   *scenario.Distribution
	client  *httpload.Client
	method  string
	path    text
	query   []pair
	headers []pair
	body    *text
	json    *document

	timeout     time.Duration
	expect      []*expression.Program
	implyStatus bool
	save        []named
	measure     []named
	measures    []string
	proceed     bool // go on with the flow when the step has failed
	retry       scenario.Retry
	discard     bool // nothing reads the body
}

// Measures returns the names of the step's measures, in the order in which they are reported. It must
// not be changed.
func (s *Step) Measures() []string { return s.measures }

type named struct {
	name    string
	program *expression.Program
}

// pair is a header, or a query parameter whose name is escaped.
type pair struct {
	name  string
	value text
}

// text is a template, or what it always yields.
type text struct {
	template *expression.Template
	constant string
}

// compiler compiles one step and collects what it reads.
type compiler struct {
	client *httpload.Client
	refs   []expression.Ref
}

func (c *compiler) text(src string) (text, error) {
	t, err := expression.CompileTemplate(src, expression.Everywhere())
	if err != nil {
		return text{}, err
	}
	if constant, ok := t.Const(); ok {
		return text{constant: constant}, nil
	}
	c.refs = append(c.refs, t.References()...)
	return text{template: t}, nil
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
	switch {
	case in.Think != nil:
		return s, nil
	case in.HTTP == nil:
		return nil, errors.New("it is neither http nor think")
	case c.client == nil:
		return nil, fmt.Errorf("there is no target %q", in.Target)
	}
	s.client, s.method, s.timeout, s.implyStatus, s.proceed = c.client, in.HTTP.Method, in.Timeout, in.ImplyStatus, in.Continue
	if in.Retry != nil {
		s.retry = *in.Retry
	}
	if err := c.request(s, in.HTTP); err != nil {
		return nil, err
	}
	return s, c.response(s, in)
}

// request compiles what is sent.
func (c *compiler) request(s *Step, h *scenario.HTTP) error {
	var err error
	if s.path, err = c.text(h.Path); err != nil {
		return fmt.Errorf("path: %w", err)
	}
	if s.query, err = c.pairs(h.Query, queryEscape); err != nil {
		return fmt.Errorf("query: %w", err)
	}
	s.foldURL()
	if s.headers, err = c.pairs(h.Headers, strings.Clone); err != nil {
		return fmt.Errorf("headers: %w", err)
	}
	switch {
	case h.Body != nil:
		body, err := c.text(*h.Body)
		if err != nil {
			return fmt.Errorf("body: %w", err)
		}
		s.body = &body
	case h.HasJSON:
		if s.json, err = c.document(h.JSON); err != nil {
			return fmt.Errorf("json: %w", err)
		}
		if !hasHeader(h.Headers, "Content-Type") {
			s.headers = append(s.headers, pair{"Content-Type", text{constant: "application/json"}})
		}
	}
	return nil
}

func hasHeader(headers []scenario.Field, name string) bool {
	for _, h := range headers {
		if strings.EqualFold(h.Name, name) {
			return true
		}
	}
	return false
}

func (c *compiler) pairs(fields []scenario.Field, name func(string) string) ([]pair, error) {
	var out []pair
	for _, f := range fields {
		value, err := c.text(f.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		out = append(out, pair{name(f.Name), value})
	}
	return out, nil
}

// foldURL makes path and query one constant when nothing in them changes.
func (s *Step) foldURL() {
	if s.path.template != nil {
		return
	}
	target := appendTarget(nil, []byte(s.path.constant))
	for i, q := range s.query {
		if q.value.template != nil {
			s.path.constant, s.query = string(target), s.query[i:]
			return
		}
		target = appendParameter(target, q.name, []byte(q.value.constant))
	}
	s.path.constant, s.query = string(target), nil
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
	s.discard = true
	for _, ref := range c.refs {
		if ref.Root == expression.JSON || ref.Root == expression.Body {
			s.discard = false
		}
	}
	return nil
}
