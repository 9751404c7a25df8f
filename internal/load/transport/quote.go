package transport

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// quoteMargin is how many bytes beyond its limit a Quote keeps, so that a secret which begins before the cut is
// found whole.
const quoteMargin = 4 << 10

// Quote is an error's quotation of what a peer or a program has said, of which a reader sees so many bytes. It
// is cut only when it is rendered: half a secret would not be recognised as one. It is immutable, and keeps
// nothing of the bytes that it was made of.
type Quote struct {
	data   []byte
	limit  int
	more   int  // bytes that are not in data
	atEnd  bool // it quotes the end, without the blanks around it
	binary bool
}

// QuoteStart quotes the first limit bytes of data as text.
func QuoteStart(data []byte, limit int) *Quote {
	kept := data[:min(len(data), limit+quoteMargin)]
	return &Quote{data: bytes.Clone(kept), limit: limit, more: len(data) - len(kept)}
}

// QuoteDigits quotes the first limit bytes of data as hexadecimal digits.
func QuoteDigits(data []byte, limit int) *Quote {
	q := QuoteStart(data, limit)
	q.binary = true
	return q
}

const blanks = " \t\r\n"

// Span is a range of bytes, [From, To).
type Span struct{ From, To int }

// Bytes returns all bytes that are kept. They must not be changed. cutStart and cutEnd say that there were more
// before and behind them.
func (q *Quote) Bytes() (data []byte, cutStart, cutEnd bool) {
	return q.data, q.atEnd && q.more > 0, !q.atEnd && q.more > 0
}

// Error renders the quotation.
func (q *Quote) Error() string { return q.Render(nil, "") }

// Render renders the quotation with something instead of the hidden ranges of Bytes, which are in order and do
// not overlap.
func (q *Quote) Render(hidden []Span, instead string) string {
	from, to := 0, min(len(q.data), q.limit)
	if q.atEnd {
		to = len(bytes.TrimRight(q.data, blanks))
		from = max(to-q.limit, 0)
		from += to - from - len(bytes.TrimLeft(q.data[from:to], blanks))
	}
	var b strings.Builder
	at := from
	for _, h := range hidden {
		if h.To <= from || h.From >= to {
			continue
		}
		q.piece(&b, q.data[at:max(h.From, at)])
		b.WriteString(instead)
		at = h.To
	}
	if at < to {
		q.piece(&b, q.data[at:to])
	}
	text := b.String()
	if !q.binary {
		text = `"` + text + `"`
	}
	if behind := len(q.data) - to + q.more; behind > 0 && !q.atEnd {
		text += fmt.Sprintf(" and %d bytes more", behind)
	}
	return text
}

func (q *Quote) piece(b *strings.Builder, data []byte) {
	if q.binary {
		b.WriteString(hex.EncodeToString(data))
		return
	}
	quoted := strconv.Quote(string(data))
	b.WriteString(quoted[1 : len(quoted)-1])
}

// Tail keeps the end of what is written to it, for a Quote. Its reader comes after its writer.
type Tail struct {
	Limit   int // bytes that a reader sees
	data    []byte
	dropped int
}

// Write implements io.Writer.
func (t *Tail) Write(p []byte) (int, error) {
	t.data = append(t.data, p...)
	// Dropped only when there are many: else each write would move what is kept.
	if keep := t.Limit + quoteMargin; len(t.data) > 2*keep {
		t.drop(len(t.data) - keep)
	}
	return len(p), nil
}

func (t *Tail) drop(n int) {
	t.data = append(t.data[:0], t.data[n:]...)
	t.dropped += n
}

// Quote quotes the end of what was written; nil when that is only blanks.
func (t *Tail) Quote() *Quote {
	if len(bytes.Trim(t.data, blanks)) == 0 {
		return nil
	}
	from := max(len(t.data)-t.Limit-quoteMargin, 0)
	return &Quote{data: bytes.Clone(t.data[from:]), limit: t.Limit, more: t.dropped + from, atEnd: true}
}
