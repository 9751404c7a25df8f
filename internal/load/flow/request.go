package flow

import (
	"fmt"
	"net/url"

	"proofload/internal/load/httpload"
)

func queryEscape(s string) string { return url.QueryEscape(s) }

// append appends the text to dst.
func (t *text) append(it *Iteration, dst []byte) ([]byte, error) {
	if t.template == nil {
		return append(dst, t.constant...), nil
	}
	return t.template.Append(dst, &it.values)
}

// string returns the text; a constant one without allocating.
func (t *text) string(it *Iteration) (string, error) {
	if t.template == nil {
		return t.constant, nil
	}
	var err error
	if it.scratch, err = t.template.Append(it.scratch[:0], &it.values); err != nil {
		return "", err
	}
	return string(it.scratch), nil
}

// build evaluates the templates of a step's request.
func (it *Iteration) build(s *Step) error {
	it.values.Response = nil
	path, err := it.target(s)
	if err != nil {
		return err
	}
	it.req = httpload.Request{Method: s.method, Path: path, Headers: it.req.Headers[:0], Timeout: s.timeout, Discard: s.discard}
	for i := range s.headers {
		h := &s.headers[i]
		value, err := h.value.string(it)
		if err != nil {
			return fmt.Errorf("header %s: %w", h.name, err)
		}
		it.req.Headers = append(it.req.Headers, httpload.Header{Name: h.name, Value: value})
	}
	switch {
	case s.body != nil:
		if it.body, err = s.body.append(it, it.body[:0]); err != nil {
			return fmt.Errorf("body: %w", err)
		}
		it.req.Body = it.body
	case s.json != nil:
		if it.body, err = s.json.append(it, it.body[:0]); err != nil {
			return fmt.Errorf("json: %w", err)
		}
		it.req.Body = it.body
	}
	return nil
}

// target evaluates path and query.
func (it *Iteration) target(s *Step) (string, error) {
	if s.path.template == nil && len(s.query) == 0 {
		return s.path.constant, nil
	}
	var err error
	it.url = it.url[:0]
	if s.path.template == nil {
		it.url = append(it.url, s.path.constant...) // escaped already
	} else {
		if it.scratch, err = s.path.append(it, it.scratch[:0]); err != nil {
			return "", fmt.Errorf("path: %w", err)
		}
		it.url = appendTarget(it.url, it.scratch)
	}
	for i := range s.query {
		q := &s.query[i]
		if it.scratch, err = q.value.append(it, it.scratch[:0]); err != nil {
			return "", fmt.Errorf("query %s: %w", q.name, err)
		}
		it.url = appendParameter(it.url, q.name, it.scratch)
	}
	return string(it.url), nil
}

// appendTarget appends a path, perhaps with a query, and escapes what cannot stand in a request:
// spaces, control characters, everything beyond ASCII, a # and a % that begins no escape. Slashes,
// question marks and escapes stay, so that a saved link can be followed.
func appendTarget(dst, path []byte) []byte {
	for i, c := range path {
		if c == '%' && i+2 < len(path) && isHex(path[i+1]) && isHex(path[i+2]) || isTarget(c) {
			dst = append(dst, c)
		} else {
			dst = appendEscape(dst, c)
		}
	}
	return dst
}

func isTarget(c byte) bool {
	switch c {
	case '"', '#', '%', '<', '>', '\\', '^', '`', '{', '|', '}':
		return false
	}
	return c > ' ' && c < 0x7f
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func appendEscape(dst []byte, c byte) []byte {
	const hex = "0123456789ABCDEF"
	return append(dst, '%', hex[c>>4], hex[c&15])
}

// appendParameter appends a query parameter to a request target; the name is escaped already.
func appendParameter(target []byte, name string, value []byte) []byte {
	separator := byte('?')
	for _, c := range target {
		if c == '?' {
			separator = '&'
		}
	}
	target = append(append(append(target, separator), name...), '=')
	for _, c := range value {
		switch {
		case c == ' ':
			target = append(target, '+')
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.', c == '~':
			target = append(target, c)
		default:
			target = appendEscape(target, c)
		}
	}
	return target
}
