package transport

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestQuote(t *testing.T) {
	long := []byte("0123456789 and so on")
	for _, tt := range []struct {
		name   string
		quote  *Quote
		hidden []Span
		want   string
	}{
		{"short", QuoteStart([]byte("a\"b"), 10), nil, `"a\"b"`},
		{"nothing", QuoteStart(nil, 10), nil, `""`},
		{"cut", QuoteStart(long, 10), nil, `"0123456789" and 10 bytes more`},
		{"digits", QuoteDigits([]byte{1, 0xab, 3}, 2), nil, "01ab and 1 bytes more"},
		{"hidden inside", QuoteStart(long, 10), []Span{{2, 4}}, `"01*456789" and 10 bytes more`},
		{"hidden over the cut", QuoteStart(long, 10), []Span{{8, 12}}, `"01234567*" and 10 bytes more`},
		{"hidden behind the cut", QuoteStart(long, 10), []Span{{10, 12}}, `"0123456789" and 10 bytes more`},
		{"several", QuoteStart(long, 10), []Span{{0, 1}, {1, 2}, {9, 11}}, `"**2345678*" and 10 bytes more`},
		{"hidden digits", QuoteDigits(long, 2), []Span{{1, 5}}, "30* and 18 bytes more"},
		{"end", tailOf("first\n", " last \n", 100), nil, `"first\n last"`},
		{"end, cut", tailOf("0123", "456789\n", 4), nil, `"6789"`},
		{"end, hidden over the cut", tailOf("0123", "456789\n", 4), []Span{{4, 7}}, `"*789"`},
		{"end, hidden blanks", tailOf("", "ab\n", 4), []Span{{1, 3}}, `"a*"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.quote.Render(tt.hidden, "*"); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
	if q := tailOf(" \n", "", 10); q != nil {
		t.Errorf("blanks are quoted as %s", q)
	}
}

// TestTailIsBounded: however much is written, a bounded part is kept, and it is the end.
func TestTailIsBounded(t *testing.T) {
	tail := &Tail{Limit: 10}
	for i := range 20_000 {
		if _, err := fmt.Fprintf(tail, "line %d\n", i); err != nil {
			t.Fatal(err)
		}
	}
	if len(tail.data) > 3*quoteMargin {
		t.Errorf("%d bytes are kept", len(tail.data))
	}
	data, cutStart, cutEnd := tail.Quote().Bytes()
	if !cutStart || cutEnd || !strings.HasSuffix(string(data), "line 19999\n") || len(data) != 10+quoteMargin {
		t.Errorf("%d bytes, %v, %v, %q", len(data), cutStart, cutEnd, data)
	}
	if got := tail.Quote().Error(); got != `"line 19999"` {
		t.Errorf("it is %s", got)
	}
}

// TestQuoteKeepsNoBuffer: what is quoted is read again after the buffer has been filled with something else.
func TestQuoteKeepsNoBuffer(t *testing.T) {
	data := bytes.Repeat([]byte("a"), 10_000)
	q := QuoteStart(data, 3)
	copy(data, "bbbb")
	if got := q.Error(); got != `"aaa" and 9997 bytes more` {
		t.Errorf("it is %s", got)
	}
	if kept, _, cut := q.Bytes(); len(kept) != 3+quoteMargin || !cut {
		t.Errorf("%d bytes kept, cut: %v", len(kept), cut)
	}
}

func tailOf(first, last string, limit int) *Quote {
	t := &Tail{Limit: limit}
	_, _ = t.Write([]byte(first))
	_, _ = t.Write([]byte(last))
	return t.Quote()
}
