package flow

import (
	"context"
	"fmt"
	"strings"
	"time"

	"proofload/internal/load/httpload"
	"proofload/internal/scenario"
	"proofload/internal/scenario/expression"
)

// request is the operation of an http step.
type request struct {
	way     *way
	index   int  // of the step
	simple  bool // the way adds nothing to what the step has
	method  string
	path    text
	query   []pair
	headers []pair
	body    *body // nil: none
	timeout time.Duration
	discard bool // nothing reads the body
	// redirects is how many of them are followed, ways where to.
	redirects int
	ways      []*way
}

// http compiles an http step, after what reads its response.
func (c *compiler) http(in *scenario.Step) (*request, error) {
	r := &request{index: c.index, method: in.HTTP.Method, timeout: in.Timeout}
	r.discard = !c.reads(expression.JSON, expression.Body)
	if err := c.towards(r, in.Target); err != nil {
		return nil, err
	}
	h := in.HTTP
	var err error
	if r.path, err = c.text(h.Path); err != nil {
		return nil, fmt.Errorf("path: %w", err)
	}
	if r.query, err = c.pairs(h.Query, queryEscape); err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	r.foldURL()
	if r.headers, err = c.pairs(h.Headers, strings.Clone); err != nil {
		return nil, fmt.Errorf("headers: %w", err)
	}
	var kind string
	if r.body, kind, err = c.body(h); err != nil {
		return nil, err
	}
	if kind != "" && !hasHeader(h.Headers, "Content-Type") {
		r.headers = append(r.headers, pair{"Content-Type", text{constant: kind}})
	}
	if h.Compress != "" && !hasHeader(h.Headers, "Content-Encoding") {
		r.headers = append(r.headers, pair{"Content-Encoding", text{constant: h.Compress}})
	}
	return r, nil
}

func hasHeader(headers []scenario.Field, name string) bool {
	for _, h := range headers {
		if strings.EqualFold(h.Name, name) {
			return true
		}
	}
	return false
}

// foldURL makes path and query one constant when nothing in them changes.
func (r *request) foldURL() {
	if r.path.template != nil {
		return
	}
	target := appendTarget(nil, []byte(r.path.constant))
	for i, q := range r.query {
		if q.value.template != nil {
			r.path.constant, r.query = string(target), r.query[i:]
			return
		}
		target = appendParameter(target, q.name, []byte(q.value.constant))
	}
	r.path.constant, r.query = string(target), nil
}

func (r *request) build(it *Iteration) error {
	path, err := r.target(it)
	if err != nil {
		return err
	}
	it.req = httpload.Request{Method: r.method, Path: path, Headers: it.req.Headers[:0], Timeout: r.timeout, Discard: r.discard}
	for i := range r.headers {
		h := &r.headers[i]
		value, err := h.value.string(it)
		if err != nil {
			return fmt.Errorf("header %s: %w", h.name, err)
		}
		it.req.Headers = append(it.req.Headers, httpload.Header{Name: h.name, Value: value})
	}
	if r.body != nil {
		if it.req.Body, err = r.body.build(it); err != nil {
			return err
		}
	}
	it.way = r.way
	if r.simple {
		return nil
	}
	it.given, it.trace, it.index = len(it.req.Headers), "", r.index
	return it.way.dress(it)
}

// towards compiles how requests get to a target.
func (c *compiler) towards(r *request, target string) error {
	var err error
	if r.way, err = c.way(target); err != nil {
		return err
	}
	if r.redirects = c.opts.plan.Targets[target].Redirects; r.redirects > 0 {
		if r.ways, err = c.ways(); err != nil {
			return err
		}
	}
	// What is compressed is looked at whether or not anything reads it: it may not be what it says.
	r.discard = r.discard && r.way.coding == ""
	r.simple = r.way.plain() && !r.way.own && r.redirects == 0
	return nil
}

// target evaluates path and query.
func (r *request) target(it *Iteration) (string, error) {
	if r.path.template == nil && len(r.query) == 0 {
		return r.path.constant, nil
	}
	var err error
	it.url = it.url[:0]
	if r.path.template == nil {
		it.url = append(it.url, r.path.constant...) // escaped already
	} else {
		if it.scratch, err = r.path.append(it, it.scratch[:0]); err != nil {
			return "", fmt.Errorf("path: %w", err)
		}
		it.url = appendTarget(it.url, it.scratch)
	}
	for i := range r.query {
		q := &r.query[i]
		if it.scratch, err = q.value.append(it, it.scratch[:0]); err != nil {
			return "", fmt.Errorf("query %s: %w", q.name, err)
		}
		it.url = appendParameter(it.url, q.name, it.scratch)
	}
	return string(it.url), nil
}

func (r *request) do(ctx context.Context, it *Iteration, x *exchange) error {
	it.req.Began, it.req.Collect = x.began, it.Collect
	return it.take(it.way, x, it.way.client.Do(ctx, &it.req, &it.resp))
}

// take notes what came of a request.
func (it *Iteration) take(w *way, x *exchange, err error) error {
	in := &it.resp
	x.sent, x.first, x.ended, x.connect, x.in, x.out = in.Sent, in.FirstByte, in.End, in.Connect, in.BytesIn, in.BytesOut
	x.parts = in.Parts
	if w.sample > 0 {
		x.trace = it.trace
	}
	if err != nil {
		return err
	}
	if w.cookies {
		it.keepCookies(w)
	}
	x.completed = true
	x.response = expression.Response{Status: in.Status, Body: in.Body, Size: in.BodySize, Headers: it, Truncated: in.Truncated}
	if w.coding != "" {
		if failure := it.unpack(w.coding, &x.response); failure != nil {
			return failure
		}
	}
	return nil
}
