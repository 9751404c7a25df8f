package flow

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"proofload/internal/load/transport"
	"proofload/internal/scenario/expression"
)

// redacted stands in place of a secret's value.
const redacted = "[secret]"

// redactor takes the values of secrets out of errors, also as they stand in a URL, in JSON or HTML, quoted, in
// hexadecimal digits or in base64. What a peer has said is searched before it is cut. It is immutable and may be
// used concurrently.
type redactor struct{ forms []form }

// form is one way in which a secret may be written.
type form struct {
	text string
	// before and after are the bytes beside the text that hold a part of the secret: of base64, whose digits are
	// not those of whole bytes.
	before, after int
}

func newRedactor(secrets map[string]string) *redactor {
	r := &redactor{}
	for _, v := range secrets {
		if v == "" {
			continue
		}
		for _, text := range append(writings(v), writings(strings.TrimSpace(v))...) { // who prints one may trim it
			r.add(form{text: text})
		}
		for _, alphabet := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			for shift := range 3 {
				r.add(inBase64(alphabet, v, shift))
			}
		}
	}
	// A longer one first: one secret may be part of another.
	slices.SortFunc(r.forms, func(a, b form) int {
		return cmp.Or(cmp.Compare(len(b.text), len(a.text)), cmp.Compare(a.text, b.text))
	})
	return r
}

func (r *redactor) add(f form) {
	if f.text != "" && !slices.Contains(r.forms, f) {
		r.forms = append(r.forms, f)
	}
}

// writings is how a value stands in texts of several kinds.
func writings(v string) []string {
	out := []string{
		v, url.QueryEscape(v), url.PathEscape(v), string(appendTarget(nil, []byte(v))), html.EscapeString(v),
		strings.Trim(strconv.Quote(v), `"`), strings.Trim(strconv.QuoteToASCII(v), `"`), hex.EncodeToString([]byte(v)),
	}
	for _, escaped := range out[1:4] {
		out = append(out, lowerEscapes(escaped))
	}
	out = append(out, strings.ToUpper(hex.EncodeToString([]byte(v))))
	if b, err := expression.AppendJSON(nil, v); err == nil {
		out = append(out, strings.Trim(string(b), `"`))
	}
	if b, err := json.Marshal(v); err == nil { // which escapes what HTML does, too
		out = append(out, strings.Trim(string(b), `"`))
	}
	return out
}

// lowerEscapes writes the digits behind each % in small letters, as some servers do.
func lowerEscapes(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], bytes.ToLower(b[i+1:i+3]))
		}
	}
	return string(b)
}

// shortestBase64 is how many digits must be the secret's alone: fewer stand in any text.
const shortestBase64 = 4

// inBase64 returns the digits of a value in front of which stand shift bytes, and any multiple of 3 more: those of
// user:password, for instance.
func inBase64(alphabet *base64.Encoding, v string, shift int) form {
	digits := alphabet.EncodeToString(append(make([]byte, shift), v...))
	const byteBits, digitBits = 8, 6
	start, end := shift*byteBits, (shift+len(v))*byteBits
	from, to := (start+digitBits-1)/digitBits, end/digitBits
	if to-from < shortestBase64 {
		return form{}
	}
	return form{text: digits[from:to], before: min(start%digitBits, 1), after: min(end%digitBits, 1)}
}

// error returns err, or one without its causes when its text has the value of a secret.
func (r *redactor) error(err error) error {
	text := err.Error()
	clean := text
	for _, q := range quotesOf(err, nil) {
		if hidden := r.spansOf(q); len(hidden) > 0 {
			clean = strings.ReplaceAll(clean, q.Error(), q.Render(hidden, redacted))
		}
	}
	if clean = r.clean(clean); clean == text {
		return err
	}
	return errors.New(clean)
}

// clean returns a whole text without secrets.
func (r *redactor) clean(text string) string {
	spans := r.spans([]byte(text))
	if len(spans) == 0 {
		return text
	}
	var b strings.Builder
	at := 0
	for _, s := range spans {
		b.WriteString(text[at:s.From])
		b.WriteString(redacted)
		at = s.To
	}
	b.WriteString(text[at:])
	return b.String()
}

// spans returns where secrets stand, in order and apart from each other.
func (r *redactor) spans(data []byte) []transport.Span {
	var out []transport.Span
	for _, f := range r.forms {
		for at := 0; ; {
			i := bytes.Index(data[at:], []byte(f.text))
			if i < 0 {
				break
			}
			from := at + i
			at = from + len(f.text)
			out = append(out, transport.Span{From: max(from-f.before, 0), To: min(at+f.after, len(data))})
		}
	}
	return joined(out)
}

// spansOf returns where secrets stand in what is quoted; also one so long that not all of it was kept.
func (r *redactor) spansOf(q *transport.Quote) []transport.Span {
	data, cutStart, cutEnd := q.Bytes()
	out := r.spans(data)
	for _, f := range r.forms {
		for n := min(len(f.text), len(data)); n >= longPart; n-- {
			if cutEnd && strings.HasPrefix(f.text, string(data[len(data)-n:])) {
				out = append(out, transport.Span{From: len(data) - n, To: len(data)})
			}
			if cutStart && strings.HasSuffix(f.text, string(data[:n])) {
				out = append(out, transport.Span{From: 0, To: n})
			}
		}
	}
	return joined(out)
}

// longPart is how much of a secret that was cut is recognised: a shorter part is not shown by a Quote, which keeps far
// more than it shows.
const longPart = 1 << 10

// joined returns spans in order, those that touch as one.
func joined(spans []transport.Span) []transport.Span {
	slices.SortFunc(spans, func(a, b transport.Span) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	out := spans[:0]
	for _, s := range spans {
		if n := len(out); n > 0 && s.From < out[n-1].To {
			out[n-1].To = max(out[n-1].To, s.To)
			continue
		}
		out = append(out, s)
	}
	return out
}

// quotesOf appends the quotations among the causes of an error.
func quotesOf(err error, to []*transport.Quote) []*transport.Quote {
	switch e := err.(type) { //nolint:errorlint // every cause is looked at
	case *transport.Quote:
		to = append(to, e)
	case interface{ Unwrap() error }:
		if cause := e.Unwrap(); cause != nil {
			to = quotesOf(cause, to)
		}
	case interface{ Unwrap() []error }:
		for _, cause := range e.Unwrap() {
			to = quotesOf(cause, to)
		}
	}
	return to
}
