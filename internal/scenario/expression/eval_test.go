package expression

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

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
