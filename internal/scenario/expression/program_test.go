package expression

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

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
