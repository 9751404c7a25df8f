package expression

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type headers map[string]string

func (h headers) Header(name string) (string, bool) {
	v, ok := h[strings.ToLower(name)]
	return v, ok
}

type rows map[string]map[string]any

var errExhausted = errors.New("no row left")

func (r rows) Cell(set, column string) (any, error) {
	row, ok := r[set]
	if !ok {
		return nil, errExhausted
	}
	v, ok := row[column]
	if !ok {
		return nil, &AbsentError{Path: "data." + set + "." + column}
	}
	return v, nil
}

const testBody = `{"token": "t1", "n": 3, "f": 2.5, "big": 18446744073709551615, "exact": 9007199254740993, "ok": true, "none": null,
	"items": [{"name": "a", "n": 1}, {"name": "b", "n": 2}], "empty": [], "deep": {"x": {"y": 1}}, "odd key": 7, "text": "abc"}`

func testScope() Scope {
	return Scope{
		Params: Names{"peak", "text", "count"}, Env: Names{"CI_SHA", "MISSING"},
		Data:  map[string]Names{"accounts": {"name", "password"}, "gone": {"x"}},
		Setup: Names{"sku"}, Vars: Names{"token", "i", "lost"}, Secrets: Names{"key"}, User: true, Response: true,
	}
}

func testValues() *Values {
	return &Values{
		Params: map[string]any{"peak": "400/s", "text": "hello", "count": 7},
		Env:    map[string]string{"CI_SHA": "abc"},
		Setup:  map[string]any{"sku": "s-1"},
		Vars:   map[string]any{"token": "tok", "i": 1},
		Data:   rows{"accounts": {"name": "ann"}},
		User:   &UserValues{ID: 4, Iteration: 2}, Secrets: map[string]string{"key": "hunter2"},
		Response: &Response{Status: 201, Body: []byte(testBody), Size: int64(len(testBody)), Headers: headers{"content-type": "application/json"}, Duration: 250 * time.Millisecond},
	}
}

func TestEval(t *testing.T) {
	for _, tc := range []struct {
		src  string
		want any
	}{
		{"status", 201},
		{"status == 201", true},
		{"status in [200, 201]", true},
		{"201 == status", true},
		{"status >= 200 && status < 300", true},
		{"200 <= status < 300", true},
		{`json.token != ""`, true},
		{"json.n + 1", 4},
		{"json.n / 2", 1.5},
		{"json.exact", 9007199254740993},
		{"string(json.big)", "18446744073709551615"},
		{"json.big == json.big", true},
		{"json.big == 5", false},
		{"json.none", nil},
		{"json.none == nil", true},
		{"json.none ?? 3", 3},
		{"json.items[1].name", "b"},
		{"json.items[-1].name", "b"},
		{"json.items[vars.i].name", "b"},
		{`json["odd key"]`, 7},
		{`json[json.text == "abc" ? "n" : "f"]`, 3},
		{"json.missing ?? 5", 5},
		{"json.missing.deeper[3].x ?? 5", 5},
		{"json.items[9].name ?? 'none'", "none"},
		{"json?.missing ?? 5", 5},
		{"json.deep?.x?.y ?? 5", 1},
		{"json.missing ?? json.gone ?? 6", 6},
		{"json.missing ?? (json.gone ?? 6)", 6},
		{"(json.ok ? json.missing : 1) ?? 8", 8},
		{"vars.lost ?? 'no'", "no"},
		{"env.MISSING ?? 'no'", "no"},
		{`headers["X-None"] ?? "no"`, "no"},
		{`headers["X-" + "None"] ?? "no"`, "no"},
		{`headers["Content-Type"]`, "application/json"},
		{`header("content-type")`, "application/json"},
		{`headers["content" + "-type"]`, "application/json"},
		{"has(json.token)", true},
		{"has(json.none)", true},
		{"has(json.missing)", false},
		{"has(json.missing.deeper)", false},
		{"has(json.items[5])", false},
		{"has(json.text.x)", false},
		{"has(json.items[vars.i].name)", true},
		{"has(vars.lost)", false},
		{"not has(json.missing)", true},
		{"!has(json.missing) || json.missing == 1", true},
		{"has(json.missing) && json.missing == 1", false},
		{"has(json.token) ? json.token : 'x'", "t1"},
		{"false && json.missing", false},
		{"true ? 1 : json.missing", 1},
		{"len(json.items)", 2},
		{"json.items | len()", 2},
		{"all(json.items, .n > 0)", true},
		{"map(json.items, .name)", []any{"a", "b"}},
		{"filter(json.items, {.n == 2})[0].name", "b"},
		{"find(json.items, .n == 2).name", "b"},
		{"find(json.items, .n == 9) ?? 'none'", "none"},
		{"first(json.empty) ?? 'none'", "none"},
		{"first(json.items).name", "a"},
		{"last(json.items).name", "b"},
		{"sum(json.items, .n)", 3},
		{"max(map(json.items, .n))", 2},
		{"mean(map(json.items, .n))", 1.5},
		{"map(json.items, #index)", []any{0, 1}},
		{"let x = json.n; x * 2", 6},
		{"let o = json.deep; o.x.y", 1},
		{"if json.ok { 1 } else { 2 }", 1},
		{"{'a': json.n}", map[string]any{"a": 3}},
		{"{'a': json.n}.a", 3},
		{"json.items[0:1]", []any{map[string]any{"name": "a", "n": 1}}},
		{`"t" + json.token`, "tt1"},
		{`json.token matches "^t[0-9]$"`, true},
		{`json.token contains "t"`, true},
		{`json.token not contains "z"`, true},
		{`body contains "token"`, true},
		{"size > 10", true},
		{`duration < duration("1s")`, true},
		{"duration", 250 * time.Millisecond},
		{"user.id", 4},
		{"user.iteration + 1", 3},
		{"data.accounts.name", "ann"},
		{"setup.sku", "s-1"},
		{"secret.key", "hunter2"},
		{"params.count * 2", 14},
		{`toJSON({"a": [1, "<"]})`, `{"a":[1,"<"]}`},
		{`fromJSON('{"a": 9007199254740993}').a`, 9007199254740993},
		{`int("12") + 1`, 13},
		{`float("1.5")`, 1.5},
		{`keys(json.deep)`, []any{"x"}},
		{`join(map(json.items, .name), "-")`, "a-b"},
		{`replace("aXbX", "X", "--")`, "a--b--"},
		{"1..3", []int{1, 2, 3}},
	} {
		t.Run(tc.src, func(t *testing.T) {
			p, err := CompileExpr(tc.src, testScope())
			if err != nil {
				t.Fatalf("compile: %v", err)
			}
			got, err := p.Eval(testValues())
			if err != nil {
				t.Fatalf("eval: %v", err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("value (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAbsentIsAnError is the rule that decides trust: nothing that is absent may pass a check.
func TestAbsentIsAnError(t *testing.T) {
	for _, tc := range []struct{ src, path string }{
		{"json.missing", "json.missing"},
		{"json.missing == nil", "json.missing"},
		{`json.missing != "x"`, "json.missing"},
		{`"x" != json.missing`, "json.missing"},
		{"json.missing == json.missing", "json.missing"},
		{"!json.missing", "json.missing"},
		{"not (json.missing == 1)", "json.missing"},
		{"json.missing + 1", "json.missing"},
		{"json.missing > 1 or true", "json.missing"},
		{"json.ok && json.missing", "json.missing"},
		{"json.missing || true", "json.missing"},
		{"json.missing ? 1 : 2", "json.missing"},
		{"json.ok ? json.missing : 2", "json.missing"},
		{"json.deep.x.z", "json.deep.x.z"},
		{"json.deep.z.y", "json.deep.z"},
		{"json.none.x", "json.none.x"},
		{"json.text.x", "json.text.x"},
		{"json.items.name", "json.items.name"},
		{"json.items[2]", "json.items[2]"},
		{"json.items[-3]", "json.items[-3]"},
		{"json.items[2].name == 'a'", "json.items[2]"},
		{"json.empty[0]", "json.empty[0]"},
		{"json.items[vars.i + 1].name", "json.items[vars.i + 1]"},
		{"json.items[vars.lost].name", "vars.lost"},
		{"json.items[vars.lost].name ?? 1", "vars.lost"},
		{"has(json.items[vars.lost])", "vars.lost"},
		{"(json.missing + 1) ?? 2", "json.missing"},
		{"json.missing ?? json.gone", "json.gone"},
		{"len(json.missing)", "json.missing"},
		{"len(json.missing) ?? 1", "json.missing"},
		{"all(json.items, .missing > 0)", "missing"},
		{"any(json.items, #.missing > 0)", "missing"},
		{"map(json.items, .missing)", "missing"},
		{"find(json.items, .n == 9)", "the result of find"},
		{"find(json.items, .n == 9) != 1", "the result of find"},
		{"findIndex(json.items, .n == 9)", "the result of findIndex"},
		{"first(json.empty)", "the result of first"},
		{"last(json.empty) == nil", "the result of last"},
		{"max(json.empty)", "the result of max"},
		{"mean(json.empty)", "the result of mean"},
		{"1 in json.missing", "json.missing"},
		{"json.missing in [nil]", "json.missing"},
		{"[json.missing]", "json.missing"},
		{"{'a': json.missing}", "json.missing"},
		{"{'a': 1}.b", `b`},
		{"let x = json.missing; true", "json.missing"},
		{"let x = json; x.missing", "x.missing"},
		{"json.missing; true", "json.missing"},
		{"json.missing[1:2]", "json.missing"},
		{`json.missing contains "a"`, "json.missing"},
		{`not (json.missing contains "a")`, "json.missing"},
		{`json.missing matches "a"`, "json.missing"},
		{"vars.lost", "vars.lost"},
		{"vars.lost == nil", "vars.lost"},
		{"env.MISSING", "env.MISSING"},
		{`headers["x-none"] == ""`, `headers["x-none"]`},
		{"headers.none", "headers.none"},
		{`header("x-" + "none")`, "headers"},
		{"data.accounts.password", "data.accounts.password"},
		{"string(json.missing)", "json.missing"},
		{"toJSON(json.missing)", "json.missing"},
	} {
		t.Run(tc.src, func(t *testing.T) {
			p, err := CompileExpr(tc.src, testScope())
			if err != nil {
				t.Fatalf("compile: %v", err)
			}
			got, err := p.Eval(testValues())
			var absent *AbsentError
			if !errors.As(err, &absent) {
				t.Fatalf("got %v, %v; want an AbsentError", got, err)
			}
			if !strings.Contains(absent.Path, tc.path) {
				t.Errorf("path = %q, want %q", absent.Path, tc.path)
			}
		})
	}
}

func TestCompileErrors(t *testing.T) {
	for _, tc := range []struct {
		src    string
		offset int
		want   string
	}{
		{"", 0, "empty"},
		{"status ==", 8, "unexpected token"},
		{"statu == 200", 0, `did you mean "status"?`},
		{"'é' + statu", 7, `did you mean "status"?`},
		{"1 + vars.tokn", 4, `vars.tokn does not exist; did you mean "token"?`},
		{"params.zzzzzz", 0, "known: count, peak, text"},
		{"data.acounts.name", 0, `did you mean "accounts"?`},
		{"data.accounts.nam", 0, `data.accounts.nam does not exist; did you mean "name"?`},
		{"data.accounts", 0, "followed by a column"},
		{"data.accounts[vars.token]", 0, "followed by a column"},
		{"vars", 0, "followed by a name"},
		{"vars[json.token]", 0, "followed by a name"},
		{"len(vars)", 4, "followed by a name"},
		{"status.x", 7, "no members"},
		{"json.a?.b", 8, "PATH ?? DEFAULT"},
		{"json.a?.b == nil", 8, "PATH ?? DEFAULT"},
		{"json.items.len()", 11, "no methods"},
		{"duration.Hours()", 9, "no methods"},
		{"now()", 0, "not available"},
		{"date('2020-01-01')", 0, "not available"},
		{"timezone('UTC')", 0, "not available"},
		{"get(json, 'x')", 0, "not available"},
		{"groupBy(json.items, .n)", 0, "not available"},
		{"lenn(json)", 0, `did you mean "len"?`},
		{"$env", 0, "unknown name"},
		{"$env.values", 0, "unknown name"},
		{"$load(1, 2)", 0, "unknown function"},
		{"has(1)", 0, "has needs one path"},
		{"has(json.x, 2)", 0, "has needs one path"},
		{"let status = 1; status", 4, "let cannot name"},
		{"let len = 1; len", 4, "let cannot name"},
		{"json.x matches '('", 7, "missing closing"},
		{"1 + true", 2, "invalid operation"},
	} {
		t.Run(tc.src, func(t *testing.T) {
			_, err := CompileExpr(tc.src, testScope())
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if !strings.Contains(e.Message, tc.want) || e.Offset != tc.offset {
				t.Errorf("got %q at %d, want %q at %d", e.Message, e.Offset, tc.want, tc.offset)
			}
		})
	}
}

func TestScopeOutsideResponse(t *testing.T) {
	scope := Scope{Params: Names{"a"}}
	for src, want := range map[string]string{
		"status":   "status cannot be read here; readable here: params",
		"vars.x":   "vars cannot be read here",
		"user.id":  "user cannot be read here",
		"params.b": "params.b does not exist",
	} {
		if _, err := CompileExpr(src, scope); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", src, err, want)
		}
	}
}

func TestWrongTypes(t *testing.T) {
	for src, want := range map[string]string{
		"json.token && true":          "true or false is needed, not text",
		"!json.n":                     "true or false is needed, not a number",
		"json.none ? 1 : 2":           "true or false is needed, not null",
		"json.n contains 'a'":         "text is needed, not a number",
		"json.none contains 'a'":      "text is needed, not null",
		"json.none + 1":               "",
		"json.none < 1":               "",
		"json.token < 1":              "",
		"json.big + 1":                "",
		"json.big < 1":                "",
		"int('abc')":                  "not a whole number",
		"'x' + 1 > 0":                 "",
		"join([1], '')":               "join needs text",
		"count(1..2000000, true) > 0": "memory budget",
	} {
		p, err := CompileExpr(src, testScope())
		if err != nil {
			if want != "" {
				t.Errorf("%s: compile: %v", src, err)
			}
			continue
		}
		_, err = p.Bool(testValues())
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(e.Message, want) {
			t.Errorf("%s: got %v, want %q", src, err, want)
		}
	}
}

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

func TestBounds(t *testing.T) {
	var double strings.Builder
	double.WriteString("let a0 = 'xxxxxxxxxxxxxxxx'; ")
	var share strings.Builder
	share.WriteString("let a0 = [1]; ")
	for i := range 60 {
		fmt.Fprintf(&double, "let a%d = a%d + a%d; ", i+1, i, i)
		fmt.Fprintf(&share, "let a%d = [a%d, a%d]; ", i+1, i, i)
	}
	for name, src := range map[string]string{
		"nested loops":     "let r = 1..900000; count(r, count(r, # > 0) > 0)",
		"doubling text":    double.String() + "len(a60)",
		"shared lists":     share.String() + "a60 == a60",
		"squaring lists":   "let a = 1..1000; let b = map(a, a); let c = map(b, b); let d = map(c, c); d == d",
		"reduced text":     "reduce(1..100, #acc + #acc, 'xxxxxxxxxxxxxxxxxx')",
		"replaced text":    "let a = repeat('a', 900000); replace(a, 'a', a)",
		"joined text":      "let a = repeat('a', 900000); join(split(a, ''), a)",
		"repeated text":    "repeat('a', 99999999)",
		"large range":      "1..999999999999",
		"escaped JSON":     strings.Repeat("toJSON(", 40) + `"\""` + strings.Repeat(")", 40),
		"nested too deep":  strings.Repeat("(", 5000) + "1" + strings.Repeat(")", 5000) + "+ statu",
		"source too long":  strings.Repeat("1 + ", 5000) + "1",
		"nodes too many":   strings.Repeat("1+", 3000) + "1",
		"concatenated":     "let a = 1..500000; concat(a, a, a, a)",
		"flattened shares": "let a = 1..1000; len(flatten(map(a, map(a, map(a, #)))))",
	} {
		t.Run(name, func(t *testing.T) {
			p, err := CompileExpr(src, Everywhere())
			if err == nil {
				_, err = p.Eval(&Values{})
			}
			var e *Error
			if !errors.As(err, &e) {
				t.Errorf("got %v, want an *Error", err)
			}
		})
	}
}

func TestDataErrorsPassThrough(t *testing.T) {
	for _, src := range []string{"data.gone.x", "data.gone.x ?? 1", "has(data.gone.x)", "1 + data.gone.x", "data.gone.x == 'a'"} {
		p, err := CompileExpr(src, testScope())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Eval(testValues()); !errors.Is(err, errExhausted) {
			t.Errorf("%s: got %v, want %v", src, err, errExhausted)
		}
	}
}

func TestReadsAndNumber(t *testing.T) {
	p, err := CompileExpr("json.x > 1 && has(headers.y) || status == 200", Everywhere())
	if err != nil {
		t.Fatal(err)
	}
	if !p.Reads(Status) || !p.Reads(JSON) || !p.Reads(Headers) || p.Reads(Body) {
		t.Errorf("Reads is wrong: %v", p.References())
	}
	for src, want := range map[string]float64{"json.n": 3, "json.f": 2.5, "duration": 0.25, "1": 1, "-2.5": -2.5} {
		p, err := CompileExpr(src, testScope())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := p.Number(testValues()); err != nil || got != want {
			t.Errorf("%s = %v, %v; want %v", src, got, err, want)
		}
	}
	for _, src := range []string{"json.token", "json.ok", "json.none", "json.items", "json.n / 0", "0 / 0", "json.big"} {
		p, err := CompileExpr(src, testScope())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := p.Number(testValues()); err == nil {
			t.Errorf("%s = %v, want an error", src, got)
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
