package expression

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"testing"
)

func TestNotJSON(t *testing.T) {
	for _, body := range []string{"", "<html>", `{"a": 1} x`, `{"a": 1`, `{"a": 1e999}`, "\xff"} {
		for _, src := range []string{"json.a == 1", "has(json.a)", "json.a ?? 1", "json.a ?? 1 == 1 || true"} {
			p, err := CompileExpr(src, Everywhere())
			if err != nil {
				continue
			}
			v := &Values{Response: &Response{Body: []byte(body)}}
			var not *NotJSONError
			if got, err := p.Eval(v); !errors.As(err, &not) {
				t.Errorf("%s of %q: got %v, %v; want a NotJSONError", src, body, got, err)
			}
		}
	}
}

func TestTruncatedBody(t *testing.T) {
	for _, src := range []string{"json.a == 1", "has(json.a)", `not (body contains "error")`, "json.a ?? 1"} {
		p, err := CompileExpr(src, Everywhere())
		if err != nil {
			t.Fatal(err)
		}
		v := &Values{Response: &Response{Body: []byte(`{"a": 1}`), Size: 1 << 30, Truncated: true}}
		if got, err := p.Eval(v); err == nil {
			t.Errorf("%s = %v of a part of a body", src, got)
		}
	}
	p, err := CompileExpr("size > 5", Everywhere())
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := p.Bool(&Values{Response: &Response{Size: 1 << 30, Truncated: true}}); !ok || err != nil {
		t.Errorf("size: %v, %v", ok, err)
	}
}

// TestAppendJSON holds the short ways against the library's encoder.
func TestAppendJSON(t *testing.T) {
	for _, v := range []any{
		nil, true, 0, -5, 2.5, 1e300, "", "plain", "q\"uo\\te", "\x00\n", "ü<&>", "\xff", json.Number("18446744073709551615"),
		[]any{1, "a"},
		map[string]any{"b": 1, "a": []any{}},
	} {
		var want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			t.Fatal(err)
		}
		if got, err := AppendJSON([]byte("x"), v); err != nil || string(got)+"\n" != "x"+want.String() {
			t.Errorf("%#v: got %s, %v; want %s", v, got, err, want.String())
		}
	}
	if b, err := AppendJSON(nil, math.Inf(1)); err == nil {
		t.Errorf("infinity is %s", b)
	}
}
