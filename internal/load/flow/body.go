package flow

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"proofload/internal/scenario"
	"proofload/internal/scenario/expression"
)

// body is what an http step sends. What never changes of it is made when the plan is compiled, compressed
// if that is wanted, and sent without being copied.
type body struct {
	what     string // the key of the language, for errors
	fixed    []byte // the whole of it; nil: it has pieces
	pieces   []piece
	document *document // instead of pieces
	gzip     bool
}

// piece is a part of a body: fixed, or a text that is put in for each request.
type piece struct {
	fixed  []byte
	text   *text
	encode func(dst, value []byte) []byte // how the text is written; nil: as it is
	at     string                         // which one it is, for errors
}

// form and multipart are the content types that an engine writes.
const (
	formType      = "application/x-www-form-urlencoded"
	multipartType = "multipart/form-data; boundary="
	jsonType      = "application/json"
	binaryType    = "application/octet-stream"
	textType      = "text/plain; charset=utf-8"
)

// body compiles the body of a request; nil when it has none. kind is its content type; empty: the scenario
// has to say it.
func (c *compiler) body(h *scenario.HTTP) (b *body, kind string, err error) {
	b = &body{gzip: h.Compress == "gzip"}
	switch {
	case h.Body != nil:
		b.what = "body"
		err = c.piece(b, *h.Body, nil, "")
	case h.HasJSON:
		b.what, kind = "json", jsonType
		b.document, err = c.document(h.JSON)
	case len(h.Form) > 0:
		b.what, kind = "form", formType
		err = c.form(b, h.Form)
	case len(h.Multipart) > 0:
		b.what = "multipart"
		kind, err = c.multipart(b, h.Multipart)
	case h.File != nil:
		b.what, kind = "file", binaryType
		if h.File.Template {
			kind = textType
		}
		err = c.file(b, h.File, "")
	default:
		return nil, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", b.what, err)
	}
	return b, kind, b.fold()
}

// literal adds what never changes.
func (b *body) literal(s string) {
	if n := len(b.pieces); n > 0 && b.pieces[n-1].text == nil {
		b.pieces[n-1].fixed = append(b.pieces[n-1].fixed, s...)
		return
	}
	b.pieces = append(b.pieces, piece{fixed: []byte(s)})
}

// piece adds a template.
func (c *compiler) piece(b *body, src string, encode func(dst, value []byte) []byte, at string) error {
	t, err := c.text(src)
	if err != nil {
		return err
	}
	if t.template == nil {
		value := []byte(t.constant)
		if encode != nil {
			value = encode(nil, value)
		}
		b.literal(string(value))
		return nil
	}
	b.pieces = append(b.pieces, piece{text: &t, encode: encode, at: at})
	return nil
}

// form adds fields as a browser does: the names escaped like the values, a blank as +.
func (c *compiler) form(b *body, fields []scenario.Field) error {
	for i, f := range fields {
		if i > 0 {
			b.literal("&")
		}
		b.literal(queryEscape(f.Name) + "=")
		if err := c.piece(b, f.Value, appendFormValue, f.Name); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return nil
}

// multipart adds the parts and returns the content type with their boundary.
func (c *compiler) multipart(b *body, parts []scenario.Part) (kind string, err error) {
	described, err := json.Marshal(parts)
	if err != nil {
		return "", err
	}
	// No part can hold the digest of all of them by chance.
	sum := sha256.Sum256(described)
	boundary := "proofload-" + hex.EncodeToString(sum[:16])
	for i := range parts {
		p := &parts[i]
		b.literal("--" + boundary + "\r\nContent-Disposition: form-data; name=\"" + string(appendQuoted(nil, []byte(p.Name))) + `"`)
		if p.File != nil {
			b.literal(`; filename="`)
			if err := c.piece(b, p.Filename, appendQuoted, p.Name); err != nil {
				return "", fmt.Errorf("%s: filename: %w", p.Name, err)
			}
			b.literal(`"`)
		}
		b.literal("\r\n")
		if p.Type != "" {
			b.literal("Content-Type: " + p.Type + "\r\n")
		}
		b.literal("\r\n")
		switch {
		case p.Value != nil:
			err = c.piece(b, *p.Value, nil, p.Name)
		case p.File != nil:
			err = c.file(b, p.File, p.Name)
		default:
			err = errors.New("it has neither a value nor a file")
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", p.Name, err)
		}
		b.literal("\r\n")
	}
	b.literal("--" + boundary + "--\r\n")
	return multipartType + boundary, nil
}

// appendQuoted appends a name of a part as browsers do: what would end it is escaped.
func appendQuoted(dst, value []byte) []byte {
	for _, c := range value {
		switch c {
		case '"', '\r', '\n', 0:
			dst = appendEscape(dst, c)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// file adds the content of a file of the scenario.
func (c *compiler) file(b *body, f *scenario.BodyFile, at string) error {
	if c.opts.Files == nil {
		return fmt.Errorf("file %s: there are no files", f.Name)
	}
	data, err := c.opts.Files(f.Digest)
	if err != nil {
		return fmt.Errorf("file %s: %w", f.Name, err)
	}
	if !f.Template {
		b.literal(string(data))
		return nil
	}
	// Params and env are put in as the scenario spells them, like everywhere else.
	known := &expression.Values{Params: c.opts.plan.Params, Env: c.opts.plan.Env}
	r, err := expression.Replace(string(data), known, expression.Everywhere())
	if err == nil {
		err = c.piece(b, r.Template, nil, at)
	}
	if err != nil {
		return fmt.Errorf("file %s: %w", f.Name, err)
	}
	return nil
}

// fold makes a body in which nothing changes one constant.
func (b *body) fold() error {
	switch d := b.document; {
	case d != nil && len(d.parts) == 1 && d.parts[0].template == nil:
		b.fixed = []byte(d.parts[0].literal)
	case d == nil && len(b.pieces) == 0:
		b.fixed = []byte{}
	case d == nil && len(b.pieces) == 1 && b.pieces[0].text == nil:
		b.fixed = b.pieces[0].fixed
	default:
		return nil
	}
	b.pieces, b.document = nil, nil
	if b.gzip {
		var err error
		b.fixed, err = appendGzip(nil, b.fixed)
		return err
	}
	return nil
}

// build returns the body of a request. It is valid until the next one is built.
func (b *body) build(it *Iteration) ([]byte, error) {
	if b.fixed != nil {
		return b.fixed, nil
	}
	var err error
	if b.document != nil {
		it.body, err = b.document.append(it, it.body[:0])
	} else {
		it.body, err = b.append(it, it.body[:0])
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.what, err)
	}
	if !b.gzip {
		return it.body, nil
	}
	it.packed, err = appendGzip(it.packed[:0], it.body)
	return it.packed, err
}

func (b *body) append(it *Iteration, dst []byte) ([]byte, error) {
	for i := range b.pieces {
		p := &b.pieces[i]
		if p.text == nil {
			dst = append(dst, p.fixed...)
			continue
		}
		var err error
		if p.encode == nil {
			dst, err = p.text.append(it, dst)
		} else if it.scratch, err = p.text.append(it, it.scratch[:0]); err == nil {
			dst = p.encode(dst, it.scratch)
		}
		if err != nil && p.at != "" {
			err = fmt.Errorf("%s: %w", p.at, err)
		}
		if err != nil {
			return dst, err
		}
	}
	return dst, nil
}
