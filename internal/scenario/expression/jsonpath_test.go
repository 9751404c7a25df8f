package expression

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/theory/jsonpath"
	"pgregory.net/rapid"
)

const shopBody = `{"items": [{"id": 7, "name": "apple", "tags": ["red", "new"]}, {"id": 8, "name": "pear", "price": 2.5, "gone": null}],
 "by": {"z": 1, "a": 2, "m": 3}, "big": 12345678901234567890, "a.b": true}`

// TestJSONPath: what a JSONPath finds, in which order, and that what it does not find is absent.
func TestJSONPath(t *testing.T) {
	for _, tc := range []struct {
		src  string
		want any
	}{
		{`jsonpath(json, "$.items[0].id")`, 7},
		{`jsonpath(json, "$['a.b']")`, true},
		{`jsonpath(json, "$.items[?@.price > 2].name")`, "pear"},
		{`jsonpath(json, '$.items[?@.name == "apple"].id') + 1`, 8},
		{`jsonpath(json, "$.items[-1:].name")`, "pear"},
		{`jsonpath(json, "$..price")`, 2.5},
		{`jsonpath(json, "$.items[?match(@.name, 'p.*')].id")`, 8},
		{`jsonpath(json, "$.items[?length(@.tags) == 2].tags[1]")`, "new"},
		{`jsonpath(json, "$.items[?match(@.name, 'x|appl')].id") ?? "none"`, "none"}, // the whole text, whichever alternative
		{`jsonpath(json, "$.items[?search(@.name, @.like)].id") ?? "none"`, "none"},
		{`jsonpath(json, "$.items[?match(@.name, @.like) || @.id == 8].id")`, 8},
		{`jsonpath(json, "$.items[?count(@.tags[*]) == 2].id")`, 7},
		{`jsonpath(json, "$.items[?@.name == 'a..b' || @.id == 8].id")`, 8},
		{`jsonpath(json.items, "$[1].name")`, "pear"},
		{`jsonpath(json, "$.items[0].tags")`, []any{"red", "new"}},
		{`jsonpath(json, "$.kiwi") ?? "none"`, "none"},
		{`jsonpath(json, "$.items[1].gone") ?? "null"`, "null"},
		{`has(jsonpath(json, "$.items[1].gone"))`, true},
		{`has(jsonpath(json, "$.items[9]"))`, false},
		{`jsonpath(json, "$.kiwi") ?? jsonpath(json, "$.by.m")`, 3},
		{`jsonpathAll(json, "$.by.*")`, []any{2, 3, 1}},
		{`jsonpathAll(json, "$.items[*].id")`, []any{7, 8}},
		{`jsonpathAll(json, "$.items[::-1].id")`, []any{8, 7}},
		{`jsonpathAll(json, "$.by['z', 'a', 'z']")`, []any{1, 2, 1}},
		{`jsonpathAll(json, "$..name")`, []any{"apple", "pear"}},
		{`jsonpathAll(json, "$.kiwi[*]")`, []any{}},
		{`len(jsonpathAll(json, "$..id")) == 2`, true},
		{`sum(jsonpathAll(json, "$..id"))`, 15},
		{`string(jsonpath(json, "$.big"))`, "12345678901234567890"},
		{`jsonpathAll(regexAll(body, "\"(id|name)\""), "$[1:3]")`, []any{"name", "id"}},
	} {
		p, err := CompileExpr(tc.src, testScope())
		if err != nil {
			t.Errorf("%s: %v", tc.src, err)
			continue
		}
		if !p.Reads(JSON) && !p.Reads(Body) {
			t.Errorf("%s: the body would not be kept", tc.src)
		}
		for range 5 { // the order of objects is not of chance
			got, err := p.Eval(onBody(shopBody))
			if diff := cmp.Diff(tc.want, got); err != nil || diff != "" {
				t.Fatalf("%s: %v (-want +got):\n%s", tc.src, err, diff)
			}
		}
	}
}

// TestJSONPathFails: what is not there, and no body that is not what was expected, passes for a value.
func TestJSONPathFails(t *testing.T) {
	wide := "[" + strings.Repeat("0,", 200_000) + "0]"
	notJSON := isA[*NotJSONError]
	for _, tc := range []struct {
		src, body string
		is        func(error) bool
	}{
		{`jsonpath(json, "$.kiwi")`, shopBody, IsAbsent},
		{`jsonpath(json, "$.kiwi") != "x"`, shopBody, IsAbsent},
		{`jsonpath(json.kiwi, "$")`, shopBody, IsAbsent},
		{`first(jsonpathAll(json, "$.kiwi"))`, shopBody, IsAbsent},
		{`jsonpath(json, "$.a")`, "<html>", notJSON},
		{`jsonpath(json, "$.a") ?? "none"`, "<html>", notJSON},
		{`has(jsonpath(json, "$.a"))`, "", notJSON},
		{`jsonpathAll(json, "$[*,*,*,*,*,*]")`, wide, isA[*Error]},
		{`jsonpathAll(json, "$[?count($[*]) > 1000000]")`, wide, isA[*Error]},
		{`jsonpathAll(json, "$[?count(@[*]) > 0].a")`, "[" + strings.Repeat(wide+",", 10) + "0]", isA[*Error]},
	} {
		p, err := CompileExpr(tc.src, testScope())
		if err != nil {
			t.Errorf("%s: %v", tc.src, err)
			continue
		}
		if v, err := p.Eval(onBody(tc.body)); !tc.is(err) {
			t.Errorf("%s of %.40q: %v, %v (%T)", tc.src, tc.body, v, err, err)
		}
	}
	for src, want := range map[string]string{
		`jsonpath("$.a")`:               "written out",
		`jsonpath(json, vars.token)`:    "written out",
		`jsonpath(json, "a.b")`:         "no JSONPath",
		`jsonpath(json, "$[")`:          "no JSONPath",
		`jsonpath(json, "$[?no(@.a)]")`: "no JSONPath",
		`jsonpath(nothing, "$")`:        "unknown name",
		`jsonpath(body, "$.a")`:         "write json",
		`jsonpath(json, "$[?@..a]")`:    "only a path itself may do",
		`jsonPath(json, "$")`:           "did you mean",
	} {
		if _, err := CompileExpr(src, testScope()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", src, err, want)
		}
	}
}

// TestHeavyFilters: filters that look at lists are no heavier for long texts beside them.
func TestHeavyFilters(t *testing.T) {
	one := `{"text": "` + strings.Repeat("x", 10_000) + `", "tags": ["a", "b"]}`
	body := "[" + strings.Repeat(one+",", 300) + one + "]"
	p, err := CompileExpr(`len(jsonpathAll(json, "$[?count(@.tags[*]) == 2]"))`, testScope())
	if err != nil {
		t.Fatal(err)
	}
	if v, err := p.Eval(onBody(body)); err != nil || v != 301 {
		t.Errorf("%v, %v; want 301", v, err)
	}
}

// TestJSONPathConcurrently: one program evaluates on many goroutines, and changes nothing of what it looks at.
func TestJSONPathConcurrently(t *testing.T) {
	p, err := CompileExpr(`jsonpath(setup.sku, "$.items[?@.id > 7 && search(@.name, '^p')].id") + len(jsonpathAll(setup.sku, "$..*"))`, testScope())
	if err != nil {
		t.Fatal(err)
	}
	tree, err := DecodeJSON([]byte(shopBody))
	if err != nil {
		t.Fatal(err)
	}
	values := &Values{Setup: map[string]any{"sku": tree}}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if v, err := p.Eval(values); err != nil || v != 8+18 {
					t.Errorf("%v, %v", v, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestJSONPathFindsWhatTheLibraryFinds: the own walk yields the nodes of the library's, whatever their order there.
func TestJSONPathFindsWhatTheLibraryFinds(t *testing.T) {
	segment := rapid.SampledFrom([]string{".a", ".b", "[0]", "[-1]", "[*]", ".*", "..a", "..*", "..[0,'b']", "[1:]", "[::-1]", "['b','a',1]", "[?@.a]", "[?@ > 1]", "..[?@.b == 'x']", "[?count(@.*) > 1]", "[?match(@.a, 'x')]"})
	leaf := rapid.SampledFrom([]any{0, 2, "x", nil, true})
	var tree func(deep int) *rapid.Generator[any]
	tree = func(deep int) *rapid.Generator[any] {
		if deep == 0 {
			return leaf
		}
		return rapid.Custom(func(t *rapid.T) any {
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				return leaf.Draw(t, "leaf")
			case 1:
				return rapid.SliceOfN(tree(deep-1), 0, 3).Draw(t, "list")
			}
			return rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "c"}), tree(deep-1), 0, 3).Draw(t, "object")
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		source := "$" + strings.Join(rapid.SliceOfN(segment, 0, 3).Draw(t, "path"), "")
		root := tree(4).Draw(t, "tree")
		p, err := compileJSONPath(source)
		if err != nil {
			t.Fatal(err)
		}
		got, err := findAllJSONPath(&frame{}, root, p)
		if err != nil {
			t.Fatal(err)
		}
		want := []any(jsonpath.MustParse(source).Select(root))
		if diff := cmp.Diff(asTexts(t, want), asTexts(t, got.([]any))); diff != "" {
			t.Fatalf("%s (-library +own):\n%s", source, diff)
		}
	})
}

// FuzzJSONPath: no path and no body ends the worker, and what is found is the same each time.
func FuzzJSONPath(f *testing.F) {
	for _, path := range []string{"$", "$..*", "$.items[?@.id > 7].name", "$[?search(@.a, '[')]", "$[-9007199254740991:9:2]", `$["\ud83d\ude00"]`, "$[?count(@.*) == length($)]"} {
		f.Add(path, shopBody)
	}
	f.Fuzz(func(t *testing.T, path, body string) {
		p, err := compileJSONPath(path)
		if err != nil {
			return
		}
		tree, err := DecodeJSON([]byte(body))
		if err != nil {
			return
		}
		first, err1 := findAllJSONPath(&frame{}, tree, p)
		second, err2 := findAllJSONPath(&frame{}, tree, p)
		if diff := cmp.Diff(first, second); diff != "" || (err1 == nil) != (err2 == nil) {
			t.Errorf("%q: %v, %v, and a second time\n%s", path, err1, err2, diff)
		}
	})
}

func asTexts(t interface{ Fatal(args ...any) }, nodes []any) []string {
	out := make([]string, len(nodes))
	for i, n := range nodes {
		b, err := json.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = string(b)
	}
	slices.Sort(out)
	return out
}

// isA tells whether an error is of a type.
func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
