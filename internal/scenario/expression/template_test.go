package expression

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTemplate(t *testing.T) {
	for _, tc := range []struct {
		src  string
		want any
	}{
		{"", ""},
		{"plain", "plain"},
		{"$5 {x} $", "$5 {x} $"},
		{"$${x}", "${x}"},
		{"a $${x} ${json.n}", "a ${x} 3"},
		{"$$${json.n}", "$${json.n}"},
		{"${json.n}", 3},
		{" ${json.n}", " 3"},
		{"${json.n}${json.n}", "33"},
		{"${json.f}", 2.5},
		{"${json.none}", nil},
		{"${json.token}", "t1"},
		{"Bearer ${vars.token}", "Bearer tok"},
		{"${json.items}", []any{map[string]any{"name": "a", "n": 1}, map[string]any{"name": "b", "n": 2}}},
		{"x=${json.items[0]}", `x={"n":1,"name":"a"}`},
		{"${ {'a': '}'}.a }", "}"},
		{"${'a}b'} ${\"\\\"}\"}", `a}b "}`},
		{"${json.exact}!", "9007199254740993!"},
		{"${json.big}!", "18446744073709551615!"},
		{"${duration}!", "250ms!"},
		{"${json.f * 1000000000000}!", "2500000000000!"},
		{"é${json.missing ?? 'ü'}", "éü"},
	} {
		t.Run(tc.src, func(t *testing.T) {
			tpl, err := CompileTemplate(tc.src, testScope())
			if err != nil {
				t.Fatal(err)
			}
			got, err := tpl.Eval(testValues())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("value (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTemplateErrors(t *testing.T) {
	for _, tc := range []struct {
		src    string
		offset int
		want   string
	}{
		{"ab ${json.n", 3, "not closed"},
		{"ab ${'}", 3, "not closed"},
		{"é ${statu}", 5, `did you mean "status"?`},
		{"${}", 2, "empty"},
		{"${status} ${1 +}", 14, "unexpected"},
	} {
		_, err := CompileTemplate(tc.src, testScope())
		var e *Error
		if !errors.As(err, &e) || e.Offset != tc.offset || !strings.Contains(e.Message, tc.want) {
			t.Errorf("%s: got %+v, want %q at %d", tc.src, err, tc.want, tc.offset)
		}
	}
	for src, want := range map[string]string{
		"x${json.none}":     "null has no text",
		"x${1/0}":           "not a number",
		"x${json.missing}":  "json.missing is absent",
		"x${1 + json.none}": "",
	} {
		tpl, err := CompileTemplate(src, testScope())
		if err != nil {
			t.Fatal(err)
		}
		if b, err := tpl.Append(nil, testValues()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %q, %v; want %q", src, b, err, want)
		}
	}
}

func TestConst(t *testing.T) {
	for src, want := range map[string]string{"a": "a", "": "", "$${x}": "${x}"} {
		tpl, err := CompileTemplate(src, Scope{})
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := tpl.Const(); !ok || got != want {
			t.Errorf("Const(%q) = %q, %v", src, got, ok)
		}
	}
	tpl, _ := CompileTemplate("${1}", Scope{})
	if _, ok := tpl.Const(); ok {
		t.Error("an expression is constant")
	}
}

func TestReferences(t *testing.T) {
	refs, err := References("é${vars.a} ${data.s.c + headers.x} ${status} ${env.B ?? params.c}")
	if err != nil {
		t.Fatal(err)
	}
	want := []Ref{
		{Root: Vars, Name: "a", Offset: 4},
		{Root: Data, Name: "s", Column: "c", Offset: 14},
		{Root: Headers, Name: "x", Offset: 25},
		{Root: Status, Offset: 38},
		{Root: Env, Name: "B", Offset: 48, Guarded: true},
		{Root: Params, Name: "c", Offset: 57},
	}
	if diff := cmp.Diff(want, refs); diff != "" {
		t.Errorf("references (-want +got):\n%s", diff)
	}
}

func TestLiterals(t *testing.T) {
	for src, want := range map[string][]string{
		"a":              {"a"},
		"a${vars.b} c":   {"a", " c"},
		"${vars.b}":      nil,
		"$${a}":          {"${a}"},
		"$${a} ${env.b}": {"${a} "},
	} {
		template, err := CompileTemplate(src, Everywhere())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, template.Literals()); diff != "" {
			t.Errorf("literals of %q (-want +got):\n%s", src, diff)
		}
	}
}

func TestReplace(t *testing.T) {
	known := &Values{
		Params: map[string]any{"peak": "400/s", "count": 7, "odd": "a${b", "dollar": "$"},
		Env:    map[string]string{"SHA": "abc"},
	}
	scope := Everywhere()
	for _, tc := range []struct {
		src  string
		want Replacement
	}{
		{"x", Replacement{Template: "x", Constant: true, Value: "x"}},
		{"$${x}", Replacement{Template: "$${x}", Constant: true, Value: "${x}"}},
		{"${params.peak}", Replacement{Template: "400/s", Constant: true, Value: "400/s"}},
		{"${params.count}", Replacement{Template: "7", Constant: true, Value: 7}},
		{"${params.count * 2}", Replacement{Template: "14", Constant: true, Value: 14}},
		{"n=${params.count}", Replacement{Template: "n=7", Constant: true, Value: "n=7"}},
		{"${params.odd}", Replacement{Template: "a$${b", Constant: true, Value: "a${b"}},
		{"${env.NONE ?? 'd'}", Replacement{Template: "d", Constant: true, Value: "d"}},
		{"${vars.x}", Replacement{Template: "${vars.x}"}},
		{"${env.SHA} ${vars.x} ${params.count}", Replacement{Template: "abc ${vars.x} 7"}},
		{"${vars.x + params.count}", Replacement{Template: "${vars.x + params.count}"}},
		{"$${a} ${params.odd} ${secret.k}", Replacement{Template: "$${a} a$${b ${secret.k}"}},
		{"${params.dollar}${vars.x}", Replacement{Template: `${"$"}${vars.x}`}},
		{"${params.dollar}{a} ${vars.x}", Replacement{Template: `$${a} ${vars.x}`}},
	} {
		t.Run(tc.src, func(t *testing.T) {
			got, err := Replace(tc.src, known, scope)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("replacement (-want +got):\n%s", diff)
			}
			// Replacing must not change what the template means.
			full := &Values{Params: known.Params, Env: known.Env, Vars: map[string]any{"x": 5}, Secrets: map[string]string{"k": "v"}}
			before, err1 := CompileTemplate(tc.src, scope)
			after, err2 := CompileTemplate(got.Template, scope)
			if err1 != nil || err2 != nil {
				t.Fatal(err1, err2)
			}
			x, err1 := before.Append(nil, full)
			y, err2 := after.Append(nil, full)
			if err1 != nil || err2 != nil || string(x) != string(y) {
				t.Errorf("before %q %v, after %q %v", x, err1, y, err2)
			}
		})
	}
	if _, err := Replace("a ${env.NONE}", known, scope); !IsAbsent(err) {
		t.Errorf("got %v, want an AbsentError", err)
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{
		"a ${json.x ?? 1} $${b}", "${has(vars.a) ? 1 : {'a': [1]}}", "${'", "${let a = 1; a}", "${#}", "${filter(json, .a?.b)}",
		"${if true {1} else {2}}", "${json[1:2]?.[0]}", "${1 | len()}", "${::len(json)}", "${b'x'}", "${0x1f..3}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		tpl, err := CompileTemplate(src, Everywhere())
		if err != nil {
			if e, ok := errors.AsType[*Error](err); !ok || e.Offset < 0 || e.Offset > len(src) {
				t.Fatalf("not an *Error with an offset inside: %#v", err)
			}
			return
		}
		v := testValues()
		x, err1 := tpl.Append(nil, v)
		r, err := Replace(src, v, Everywhere())
		if err1 != nil || err != nil {
			return
		}
		if r.Constant && r.Value == nil {
			t.Fatal("a template with a text was replaced by nothing")
		}
		after, err := CompileTemplate(r.Template, Everywhere())
		if err != nil {
			t.Fatalf("%q was replaced by %q: %v", src, r.Template, err)
		}
		if y, err := after.Append(nil, v); err != nil || string(x) != string(y) {
			t.Fatalf("%q gives %q, its replacement %q gives %q, %v", src, x, r.Template, y, err)
		}
	})
}
