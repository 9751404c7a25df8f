package flow

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"regexp"
	"time"

	"proofload/internal/load/programload"
	"proofload/internal/load/transport"
	"proofload/internal/scenario"
	"proofload/internal/scenario/expression"
)

// action is one element of a script, compiled: exactly one of its fields is set.
type action struct {
	send   *literal
	expect *expectation
	wait   *scenario.Distribution
}

func (a action) expects() bool { return a.expect != nil }

// literal is bytes that a script sends or expects: constant, or made for each iteration.
type literal struct {
	binary   bool
	constant []byte // nil: one of the others
	text     *text
	hex      *text
	json     *document
	slot     int // among those that are made
}

// expectation is what has to come.
type expectation struct {
	program *expression.Program
	equal   *literal
	pattern *regexp.Regexp
	until   *literal
	size    int64
	timeout time.Duration
	skip    bool
	text    string // as written, for errors
}

// script compiles what is said on a connection whose steps have a timeout.
func (c *compiler) script(in []scenario.Action, timeout time.Duration) ([]action, error) {
	var out []action
	made := 0
	for i, a := range in {
		var x action
		var err error
		switch {
		case a.Send != nil:
			x.send, err = c.payload(a.Send, &made)
		case a.Expect != nil:
			x.expect, err = c.expectation(a.Expect, &made)
			if x.expect != nil && x.expect.timeout == 0 {
				x.expect.timeout = timeout
			}
		default:
			x.wait = a.Wait
		}
		if err != nil {
			return nil, fmt.Errorf("script, action %d: %w", i+1, err)
		}
		out = append(out, x)
	}
	return out, nil
}

func (c *compiler) payload(in *scenario.Payload, made *int) (*literal, error) {
	switch {
	case in.Text != nil:
		return c.literalText(*in.Text, made)
	case in.Hex != "":
		return c.literalHex(in.Hex, made)
	case in.File != nil:
		if c.opts.Files == nil {
			return nil, fmt.Errorf("file %s: there are no files", in.File.Name)
		}
		data, err := c.opts.Files(in.File.Digest)
		if err != nil {
			return nil, fmt.Errorf("file %s: %w", in.File.Name, err)
		}
		return &literal{binary: true, constant: data}, nil
	}
	doc, err := c.document(in.JSON)
	if err != nil {
		return nil, fmt.Errorf("json: %w", err)
	}
	*made++
	return &literal{json: doc, slot: *made - 1}, nil
}

func (c *compiler) literalText(src string, made *int) (*literal, error) {
	t, err := c.text(src)
	if err != nil {
		return nil, err
	}
	if t.template == nil {
		return &literal{constant: []byte(t.constant)}, nil
	}
	*made++
	return &literal{text: &t, slot: *made - 1}, nil
}

func (c *compiler) literalHex(src string, made *int) (*literal, error) {
	t, err := c.text(src)
	if err != nil {
		return nil, err
	}
	if t.template == nil {
		data, err := scenario.DecodeHex(t.constant)
		return &literal{binary: true, constant: data}, err
	}
	*made++
	return &literal{binary: true, hex: &t, slot: *made - 1}, nil
}

func (c *compiler) expectation(in *scenario.Expectation, made *int) (*expectation, error) {
	e := &expectation{timeout: in.Timeout, skip: in.Skip, size: in.Size}
	var err error
	switch {
	case in.Expr != "":
		e.program, err = c.expr(in.Expr)
		e.text = in.Expr
	case in.Text != nil:
		e.equal, err = c.literalText(*in.Text, made)
		e.text = "text " + *in.Text
	case in.Hex != "":
		e.equal, err = c.literalHex(in.Hex, made)
		e.text = "hex " + in.Hex
	case in.Pattern != "":
		e.pattern, err = regexp.Compile(in.Pattern)
		e.text = "pattern " + in.Pattern
	case in.Until != nil:
		e.until, err = c.literalText(*in.Until, made)
		e.text = "until " + *in.Until
	default:
		e.text = fmt.Sprintf("size %d", in.Size)
	}
	return e, err
}

// append makes the bytes and appends them to dst.
func (l *literal) append(it *Iteration, dst []byte) ([]byte, error) {
	switch {
	case l.text != nil:
		return l.text.append(it, dst)
	case l.json != nil:
		return l.json.append(it, dst)
	}
	digits, err := l.hex.string(it)
	if err != nil {
		return nil, err
	}
	data, err := scenario.DecodeHex(digits)
	return append(dst, data...), err
}

// literals yields what of a script is made for each iteration.
func literals(script []action, yield func(*literal) error) error {
	for i := range script {
		a := &script[i]
		all := []*literal{a.send}
		if a.expect != nil {
			all = []*literal{a.expect.equal, a.expect.until}
		}
		for _, l := range all {
			if l == nil || l.constant != nil {
				continue
			}
			if err := yield(l); err != nil {
				return fmt.Errorf("script, action %d: %w", i+1, err)
			}
		}
	}
	return nil
}

// conversation is what an iteration keeps of a script that it speaks. It belongs to one execution at a time.
type conversation struct {
	made []byte // what was made for this one
	ends []int  // where each of them ends

	command *programload.Command // of a program step

	last    []byte // what came last
	binary  bool
	keepAll bool
	all     []any
	kept    int   // bytes of all
	lost    error // why all is not all
	decoded bool
	value   any
}

// Bounds of what is kept for messages.
const (
	maxTalkMessages = 10_000
	maxTalkBytes    = 4 << 20
)

// converse prepares the memory of a script, and makes what of it has to be made.
func (it *Iteration) converse(script []action, keepAll bool) error {
	if it.talk == nil {
		it.talk = &conversation{}
	}
	t := it.talk
	*t = conversation{made: t.made[:0], ends: t.ends[:0], last: t.last[:0], keepAll: keepAll}
	return literals(script, func(l *literal) error {
		var err error
		t.made, err = l.append(it, t.made)
		t.ends = append(t.ends, len(t.made))
		return err
	})
}

// bytes returns what a literal is in this execution.
func (t *conversation) bytes(l *literal) []byte {
	if l.constant != nil {
		return l.constant
	}
	from := 0
	if l.slot > 0 {
		from = t.ends[l.slot-1]
	}
	return t.made[from:t.ends[l.slot]]
}

// buffer is where the next message is read into, over the last one.
func (t *conversation) buffer() []byte {
	if t.last == nil {
		t.last = make([]byte, 0, 256)
	}
	return t.last[:0]
}

// came notes a message, which is in the buffer.
func (t *conversation) came(data []byte, binary bool) {
	t.last, t.binary, t.decoded, t.value = data, binary, false, nil
	if !t.keepAll || t.lost != nil {
		return
	}
	if t.kept += len(data); len(t.all) == maxTalkMessages || t.kept > maxTalkBytes {
		t.all, t.lost = nil, fmt.Errorf("more than %d messages or %d bytes of them came: read message in an expect of the script", maxTalkMessages, maxTalkBytes)
		return
	}
	v, _, _ := t.Last()
	t.all = append(t.all, v)
}

// Last implements expression.MessageReader: a message that is JSON is decoded, another one of text is that, and
// bytes are their digits.
func (t *conversation) Last() (any, bool, error) {
	if t.decoded {
		return t.value, true, nil
	}
	if len(t.last) == 0 && t.last == nil {
		return nil, false, nil
	}
	v, err := expression.DecodeJSON(t.last)
	isValue := false
	switch v.(type) {
	case map[string]any, []any:
		isValue = true
	}
	switch {
	case err == nil && (isValue || !t.binary):
		t.value = v
	case t.binary:
		t.value = hex.EncodeToString(t.last)
	default:
		t.value = string(t.last)
	}
	t.decoded = true
	return t.value, true, nil
}

// All implements expression.MessageReader.
func (t *conversation) All() ([]any, error) { return t.all, t.lost }

// trim gives back large buffers.
func (t *conversation) trim() {
	if t == nil {
		return
	}
	t.all, t.value = nil, nil
	for _, buffer := range []*[]byte{&t.made, &t.last} {
		if cap(*buffer) > keptSize {
			*buffer = nil
		}
	}
}

// meets reports whether what came last is what was expected; an expression that cannot be evaluated is an error.
func (e *expectation) meets(it *Iteration) (bool, error) {
	t := it.talk
	switch {
	case e.program != nil:
		x := &it.exchange.response
		x.Messages = t
		it.values.Response = x
		return e.program.Bool(&it.values)
	case e.pattern != nil:
		return e.pattern.Match(t.last), nil
	}
	if e.equal != nil {
		return bytes.Equal(t.last, t.bytes(e.equal)), nil
	}
	return e.until != nil || int64(len(t.last)) == e.size, nil
}

// shown is how much of what came an error quotes, in bytes.
const shown = 100

// unmet is the error of an expectation that did not hold.
func (e *expectation) unmet(it *Iteration, err error) *transport.Error {
	if err == nil {
		came := transport.QuoteStart(it.talk.last, shown)
		if it.talk.binary {
			came = transport.QuoteDigits(it.talk.last, shown)
		}
		err = fmt.Errorf("it does not hold; what came is %w", came)
	}
	return &transport.Error{Kind: KindCheck, Op: "expect " + e.text, Err: err}
}

// late is the error of an expectation that was not met in time, after so many messages that were passed over.
func (e *expectation) late(passed int) *transport.Error {
	err := fmt.Errorf("it did not come within %s", e.timeout)
	if passed > 0 {
		err = fmt.Errorf("%w; %d that came were passed over", err, passed)
	}
	return &transport.Error{Kind: transport.KindTimeout, Op: "expect " + e.text, Err: err}
}
