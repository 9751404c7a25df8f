package expression

import (
	"fmt"
	"strconv"
	"strings"
)

// path is a chain of members whose every key is written in the source: json.items[0].name. It is
// evaluated without the virtual machine.
type path struct {
	root Root
	name string // under params, env, setup, vars, secret, user and headers; the set under data
	col  string // under data
	keys []any  // string or int, what follows
}

// named tells whether a root is a set of names rather than a value.
func named(root Root) bool {
	switch root {
	case Params, Env, Data, Setup, Vars, Secret, User, Headers:
		return true
	}
	return false
}

// pathText appends one key to the text of a path.
func pathText(base string, key any) string {
	switch k := key.(type) {
	case int:
		return base + "[" + strconv.Itoa(k) + "]"
	case string:
		if isWord(k) {
			return base + "." + k
		}
		return base + "[" + strconv.Quote(k) + "]"
	}
	return base + "[...]"
}

func isWord(s string) bool {
	if s == "" || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

// load reads p. What is not there is an AbsentError.
func (p *path) load(v *Values) (any, error) {
	x, err := p.loadRoot(v)
	if err != nil {
		return nil, err
	}
	for i, key := range p.keys {
		next, ok := member(x, key)
		if !ok {
			at := p.textTo(i)
			return nil, &AbsentError{Path: pathText(at, key), Why: whyAbsent(at, x, key)}
		}
		x = next
	}
	return x, nil
}

// textTo is the text of p with its first n keys.
func (p *path) textTo(n int) string {
	text := p.rootText()
	for _, key := range p.keys[:n] {
		text = pathText(text, key)
	}
	return text
}

// rootText is the text of p without its keys; needed only on the way to an error.
func (p *path) rootText() string {
	switch {
	case p.root == Data:
		return pathText(pathText(string(p.root), p.name), p.col)
	case named(p.root):
		return pathText(string(p.root), p.name)
	}
	return string(p.root)
}

func (p *path) absent(why string) error { return &AbsentError{Path: p.rootText(), Why: why} }

// loadRoot reads p up to its keys.
func (p *path) loadRoot(v *Values) (any, error) {
	switch p.root {
	case Params:
		return p.fromMap(v.Params, "the parameter has no value")
	case Setup:
		return p.fromMap(v.Setup, "setup did not save it")
	case Vars:
		return p.fromMap(v.Vars, "no step of this iteration saved it")
	case Env:
		if x, ok := v.Env[p.name]; ok {
			return x, nil
		}
		return nil, p.absent("the environment variable is not set")
	case Secret:
		if x, ok := v.Secrets[p.name]; ok {
			return x, nil
		}
		return nil, p.absent("the secret was not given")
	case Data:
		if v.Data == nil {
			return nil, p.absent("there is no data here")
		}
		return v.Data.Cell(p.name, p.col)
	case User:
		return p.loadUser(v.User)
	}
	return p.loadResponse(v.Response)
}

func (p *path) fromMap(m map[string]any, why string) (any, error) {
	if x, ok := m[p.name]; ok {
		return x, nil
	}
	return nil, p.absent(why)
}

func (p *path) loadUser(u *UserValues) (any, error) {
	if u == nil {
		return nil, p.absent("the phase has no users")
	}
	if p.name == "id" {
		return int(u.ID), nil
	}
	return int(u.Iteration), nil
}

func (p *path) loadResponse(r *Response) (any, error) {
	if r == nil {
		return nil, p.absent("there is no response here")
	}
	switch p.root {
	case Status:
		return r.Status, nil
	case JSON:
		return r.JSON()
	case Body:
		return r.text()
	case Size:
		return int(r.Size), nil
	case Duration:
		return r.Duration, nil
	case Headers:
		return loadHeader(r, p.name, p.rootText())
	case Code:
		return r.Code, nil
	case Message, Messages:
		return p.loadMessage(r)
	}
	return nil, p.absent("")
}

func (p *path) loadMessage(r *Response) (any, error) {
	switch {
	case r.Messages == nil:
		return nil, p.absent("there are no messages here")
	case p.root == Messages:
		all, err := r.Messages.All()
		if err != nil {
			return nil, err
		}
		return all, nil
	}
	v, ok, err := r.Messages.Last()
	if err == nil && !ok {
		return nil, p.absent("no message was received")
	}
	return v, err
}

func loadHeader(r *Response, name, text string) (any, error) {
	if r != nil && r.Headers != nil {
		if x, ok := r.Headers.Header(name); ok {
			return x, nil
		}
	}
	return nil, &AbsentError{Path: text, Why: "the response does not have the header"}
}

// member reads one key of a value; false when it is not there. Negative indexes count from the end.
func member(x, key any) (any, bool) {
	switch c := x.(type) {
	case map[string]any:
		if name, ok := key.(string); ok {
			v, ok := c[name]
			return v, ok
		}
	case []any:
		return element(c, key)
	case []int:
		return element(c, key)
	case []string:
		return element(c, key)
	case []float64:
		return element(c, key)
	}
	return nil, false
}

func element[T any](list []T, key any) (any, bool) {
	i, ok := toInt(key)
	if !ok {
		return nil, false
	}
	if i < 0 {
		i += int64(len(list))
	}
	if i < 0 || i >= int64(len(list)) {
		return nil, false
	}
	return list[i], true
}

// whyAbsent says what is at the path at, in place of something that has key.
func whyAbsent(at string, x, key any) string {
	switch c := x.(type) {
	case map[string]any:
		if _, ok := key.(string); ok {
			return ""
		}
		return at + " is an object, its keys are text"
	case []any:
		if _, ok := toInt(key); ok {
			return fmt.Sprintf("%s has %d elements", at, len(c))
		}
	}
	return at + " is " + describe(x)
}
