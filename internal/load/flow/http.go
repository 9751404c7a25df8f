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
	client  HTTPClient
	own     bool // connections are the user's own
	method  string
	path    text
	query   []pair
	headers []pair
	body    *body // nil: none
	timeout time.Duration
	discard bool // nothing reads the body
}

// http compiles an http step, after what reads its response.
func (c *compiler) http(in *scenario.Step) (*request, error) {
	r := &request{client: c.opts.Clients[in.Target], method: in.HTTP.Method, timeout: in.Timeout}
	if r.client == nil {
		return nil, fmt.Errorf("there is no target %q", in.Target)
	}
	r.own = ownConnections(c.opts.plan.Targets[in.Target])
	r.discard = !c.reads(expression.JSON, expression.Body)
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
	if r.own {
		it.req.Session = it.session().http(r.client)
	}
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
	it.req.Began = x.began
	err := r.client.Do(ctx, &it.req, &it.resp)
	in := &it.resp
	x.sent, x.ended, x.connect, x.in, x.out = in.Sent, in.End, in.Connect, in.BytesIn, in.BytesOut
	if err != nil {
		return err
	}
	x.completed = true
	x.response = expression.Response{Status: in.Status, Body: in.Body, Size: in.BodySize, Headers: it, Truncated: in.Truncated}
	return nil
}
