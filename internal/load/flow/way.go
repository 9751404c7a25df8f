package flow

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"proofload/internal/load/httpload"
)

// way is what requests of http steps to one target have in common.
type way struct {
	client   HTTPClient
	endpoint httpload.Endpoint
	own      bool // connections are the user's own
	auth     *authorizer
	cookies  bool
	coding   string  // of answers that is asked for and undone; empty: none is
	sample   float64 // share of the requests that carry a traceparent
}

// plain reports whether requests go out as the step has them.
func (w *way) plain() bool {
	return w.auth == nil && !w.cookies && w.coding == "" && w.sample == 0
}

// way compiles the way to a target.
func (c *compiler) way(name string) (*way, error) {
	client := c.opts.Clients[name]
	if client == nil {
		return nil, fmt.Errorf("there is no target %q", name)
	}
	t := c.opts.plan.Targets[name]
	w := &way{
		client: client, endpoint: c.opts.Endpoints[name], own: ownConnections(t), cookies: t.Cookies, coding: t.Compression, sample: t.Trace,
	}
	var err error
	if t.Auth != nil {
		if w.auth, err = c.auth(t.Auth); err != nil {
			return nil, fmt.Errorf("target %s: auth: %w", name, err)
		}
	}
	return w, nil
}

// ways compiles the ways to all targets that a redirect may lead to, in the order of their names.
func (c *compiler) ways() ([]*way, error) {
	var out []*way
	for _, name := range slices.Sorted(maps.Keys(c.opts.Clients)) {
		w, err := c.way(name)
		if err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	return out, nil
}

// url returns the address of a path, whole and escaped, with its query, at the target.
func (w *way) url(target string) (*url.URL, error) {
	scheme := "http"
	if w.endpoint.Secure {
		scheme = "https"
	}
	u, err := url.Parse(scheme + "://" + w.endpoint.Authority + target)
	if err != nil {
		return nil, errors.New("its path is not that of a URL") // err would show it, with what may be a secret
	}
	return u, nil
}

// dress adds to the request of an iteration what the way asks for. The step's own headers go before all of it.
func (w *way) dress(it *Iteration) error {
	if w.own {
		it.req.Session = it.session().http(w.client)
	}
	if w.plain() {
		return nil
	}
	if w.coding != "" && !it.sends("Accept-Encoding") {
		it.addHeader("Accept-Encoding", w.coding)
	}
	if w.sample > 0 {
		it.traced(w.sample)
	}
	if w.cookies && !it.sends("Cookie") {
		if err := it.addCookies(w); err != nil {
			return err
		}
	}
	if w.auth != nil && !it.sends("Authorization") {
		if err := w.auth.add(it, w); err != nil {
			return fmt.Errorf("auth: %w", err)
		}
	}
	return nil
}

// sends reports whether the request has a header.
func (it *Iteration) sends(name string) bool {
	return slices.ContainsFunc(it.req.Headers, func(h httpload.Header) bool { return strings.EqualFold(h.Name, name) })
}

func (it *Iteration) addHeader(name, value string) {
	it.req.Headers = append(it.req.Headers, httpload.Header{Name: name, Value: value})
}
