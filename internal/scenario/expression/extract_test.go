package expression

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const xmlBody = `<?xml version="1.0" encoding="UTF-8"?>
<!-- an order --><order id="o-1" xmlns:x="urn:x"><item sku="apple">2</item><item sku="pear">3</item><x:note>a &lt; b</x:note><empty/></order>`

func onBody(body string) *Values {
	return &Values{Response: &Response{Status: 200, Body: []byte(body), Size: int64(len(body)), Headers: headers{"location": "/orders/17?x=1"}}}
}

// TestExtract: what a regular expression or XPath finds, and that what it does not find is absent.
func TestExtract(t *testing.T) {
	for _, tc := range []struct {
		src  string
		want any
	}{
		{`regex(body, "id=\"(o-[0-9])\"")`, "o-1"},
		{`regex(body, "o-[0-9]")`, "o-1"},
		{`regex(headers.location, "/orders/([0-9]+)")`, "17"},
		{`int(regex(headers["location"], "/orders/([0-9]+)")) + 1`, 18},
		{`regex(body, "sku=\"(kiwi)\"") ?? "none"`, "none"},
		{`regex(body, "(kiwi)?apple") ?? "no group"`, "no group"},
		{`regex(body, "kiwi") ?? regex(body, "pear")`, "pear"},
		{`has(regex(body, "pear"))`, true},
		{`has(regex(body, "kiwi"))`, false},
		{`regexAll(body, "sku=\"([a-z]+)\"")`, []any{"apple", "pear"}},
		{`regexAll(body, "kiwi")`, []any{}},
		{`len(regexAll(body, "kiwi")) == 0`, true},
		{`xpath("/order/@id")`, "o-1"},
		{`xpath("//item[@sku='pear']")`, "3"},
		{`int(xpath("//item[2]")) == 3`, true},
		{`xpath("count(//item)")`, 2.0},
		{`xpath("sum(//item)") == 5`, true},
		{`xpath("boolean(//kiwi)")`, false},
		{`xpath("string(//item[1]/@sku)")`, "apple"},
		{`xpath("//x:note")`, "a < b"},
		{`xpath("//empty")`, ""},
		{`xpath("//kiwi") ?? "none"`, "none"},
		{`has(xpath("//kiwi"))`, false},
		{`has(xpath("//item"))`, true},
		{`xpathAll("//item/@sku")`, []any{"apple", "pear"}},
		{`xpathAll("//kiwi")`, []any{}},
	} {
		p, err := CompileExpr(tc.src, testScope())
		if err != nil {
			t.Errorf("%s: %v", tc.src, err)
			continue
		}
		got, err := p.Eval(onBody(xmlBody))
		if err != nil {
			t.Errorf("%s: %v", tc.src, err)
		} else if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.src, diff)
		}
		if strings.Contains(tc.src, "body") != p.Reads(Body) && !strings.Contains(tc.src, "xpath") {
			t.Errorf("%s: reads %v", tc.src, p.References())
		}
		if strings.Contains(tc.src, "xpath") && !p.Reads(Body) {
			t.Errorf("%s: the body would not be kept", tc.src)
		}
	}
}

// TestExtractFails: nothing that was not found, and no body that is not what was expected, passes for a value.
func TestExtractFails(t *testing.T) {
	absent := IsAbsent
	notXML := func(err error) bool { _, ok := errors.AsType[*NotXMLError](err); return ok }
	plain := func(err error) bool { _, ok := errors.AsType[*Error](err); return ok }
	for _, tc := range []struct {
		src, body string
		is        func(error) bool
	}{
		{`regex(body, "kiwi")`, xmlBody, absent},
		{`regex(body, "kiwi") != "x"`, xmlBody, absent},
		{`regex(body, "(kiwi)?apple")`, xmlBody, absent},
		{`regex(size, "1")`, xmlBody, plain},
		{`xpath("//kiwi") != "x"`, xmlBody, absent},
		{`first(xpathAll("//kiwi"))`, xmlBody, absent},
		{`xpath("number(//item/@sku)")`, xmlBody, plain},
		{`xpathAll("count(//item)")`, xmlBody, plain},
		{`xpath("/a")`, "", notXML},
		{`xpath("/a")`, " \n", notXML},
		{`xpath("/a")`, `{"a": 1}`, notXML},
		{`xpath("/a")`, "<a>", notXML},
		{`xpath("/a")`, "<a></b>", notXML},
		{`xpath("/a")`, "<a/><b/>", notXML},
		{`xpath("/a")`, "<a/>rest", notXML},
		{`xpath("/a")`, "<a>&undefined;</a>", notXML},
		{`xpath("/a") ?? "none"`, "<a>", notXML},
		{`has(xpath("/a"))`, "<a>", notXML},
		{`xpathAll("/a")`, "<a>", notXML},
		{`xpath("/a") ?? "none"`, `<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>`, notXML},
	} {
		p, err := CompileExpr(tc.src, testScope())
		if err != nil {
			t.Errorf("%s: %v", tc.src, err)
			continue
		}
		if v, err := p.Eval(onBody(tc.body)); !tc.is(err) {
			t.Errorf("%s of %q: %v, %v (%T)", tc.src, tc.body, v, err, err)
		}
	}
	truncated := onBody(xmlBody)
	truncated.Response.Truncated = true
	for _, src := range []string{`xpath("/order")`, `regex(body, "o")`, `has(regex(body, "o"))`} {
		p, err := CompileExpr(src, testScope())
		if err != nil {
			t.Fatal(err)
		}
		if v, err := p.Eval(truncated); !errors.Is(err, errTruncated) {
			t.Errorf("%s of a part of a body: %v, %v", src, v, err)
		}
	}
}

// TestExtractRefused: a pattern that is wrong is found before the run.
func TestExtractRefused(t *testing.T) {
	for src, want := range map[string]string{
		`regex(body)`:              "written out",
		`regex("x")`:               "written out",
		`regex(body, vars.token)`:  "written out",
		`regex(body, "(")`:         "no regular expression",
		`regex(nothing, "x")`:      "unknown name",
		`xpath("//[")`:             "no XPath",
		`xpath("")`:                "XPath",
		`xpath("nofunction(/a)")`:  "XPath",
		`xpath(body, "/a")`:        "written out",
		`has(regexAll(body, "x"))`: "has needs one path",
		`rgex(body, "x")`:          "did you mean",
	} {
		if _, err := CompileExpr(src, testScope()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", src, err, want)
		}
	}
	scope := testScope()
	scope.Response = false
	if _, err := CompileExpr(`xpath("/a")`, scope); err == nil || !strings.Contains(err.Error(), "cannot be read here") {
		t.Errorf("xpath where there is no response: %v", err)
	}
}

// TestXPathConcurrently: one program evaluates on many goroutines, as the users of a run do.
func TestXPathConcurrently(t *testing.T) {
	p, err := CompileExpr(`xpath("sum(//item[@sku != 'x'])") + len(xpathAll("//item[position() < 3]"))`, testScope())
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if v, err := p.Eval(onBody(xmlBody)); err != nil || v != 7.0 {
					t.Errorf("%v, %v", v, err)
					return
				}
			}
		})
	}
	wg.Wait()
}
