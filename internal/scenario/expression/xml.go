package expression

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"

	"github.com/antchfx/xmlquery"
	"github.com/antchfx/xpath"
)

// NotXMLError says that the body was read as XML and is not.
type NotXMLError struct{ Err error }

func (e *NotXMLError) Error() string { return "the body is not XML: " + e.Err.Error() }

// Unwrap returns the parser's error.
func (e *NotXMLError) Unwrap() error { return e.Err }

// decodeXML parses a body that is exactly one XML document. External entities do not exist for it, and
// internal ones are refused.
func decodeXML(body []byte) (*xmlquery.Node, error) {
	doc, err := xmlquery.Parse(bytes.NewReader(body))
	if err != nil {
		return nil, &NotXMLError{Err: err}
	}
	roots := 0
	for n := doc.FirstChild; n != nil; n = n.NextSibling {
		switch n.Type {
		case xmlquery.ElementNode:
			roots++
		case xmlquery.TextNode, xmlquery.CharDataNode:
			if strings.TrimSpace(n.Data) != "" {
				return nil, &NotXMLError{Err: errors.New("there is text outside of the first element")}
			}
		}
	}
	switch roots {
	case 0:
		return nil, &NotXMLError{Err: errors.New("there is no element")}
	case 1:
		return doc, nil
	}
	return nil, &NotXMLError{Err: errors.New("something follows the first element")}
}

// xpathExpr is a compiled XPath 1.0 expression. The library's own are for one goroutine at a time.
type xpathExpr struct {
	source string
	pool   sync.Pool
}

func compileXPath(source string) (x *xpathExpr, err error) {
	defer func() {
		if r := recover(); r != nil { // the library is not ours, and a scenario comes from outside
			x, err = nil, fmt.Errorf("the path cannot be compiled: %v", r)
		}
	}()
	first, err := xpath.Compile(source)
	if err != nil {
		return nil, fmt.Errorf("the path is no XPath: %w", err)
	}
	x = &xpathExpr{source: source}
	x.pool.New = func() any {
		e, _ := xpath.Compile(source) // did compile once
		return e
	}
	x.pool.Put(first)
	return x, nil
}

// evaluate returns true or false, a number or text, or yields the texts of nodes until yield is false.
func (x *xpathExpr) evaluate(doc *xmlquery.Node, yield func(string) bool) (v any, err error) {
	e := x.pool.Get().(*xpath.Expr)
	defer func() {
		if r := recover(); r != nil { // e is not used again
			v, err = nil, &Error{Source: x.source, Message: fmt.Sprintf("the path cannot be evaluated: %v", r)}
			return
		}
		x.pool.Put(e)
	}()
	switch v := e.Evaluate(xmlquery.CreateXPathNavigator(doc)).(type) {
	case *xpath.NodeIterator:
		for v.MoveNext() && yield(v.Current().Value()) {
		}
		return nil, nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, &Error{Source: x.source, Message: "the result of the path is not a number"}
		}
		return v, nil
	default:
		return v, nil
	}
}

// xpath returns what the path yields: the text of its first node, or its value. No node is an AbsentError.
func (f *frame) xpath(x *xpathExpr) (any, error) {
	found := ""
	ok := false
	v, err := f.query(x, func(s string) bool { found, ok = s, true; return false })
	switch {
	case err != nil:
	case v != nil:
		return v, nil
	case ok:
		return found, nil
	default:
		err = &AbsentError{Path: fmt.Sprintf("xpath %q", x.source), Why: "no node is there"}
	}
	f.failed = err
	return nil, err
}

// xpathAll returns the texts of all nodes that the path yields.
func (f *frame) xpathAll(x *xpathExpr) (any, error) {
	list := []any{}
	v, err := f.query(x, func(s string) bool { list = append(list, s); return len(list) < maxItems })
	if err == nil && v != nil {
		err = &Error{Source: x.source, Message: "xpathAll needs a path to nodes; xpath yields " + describe(v)}
	}
	if err != nil {
		f.failed = err
		return nil, err
	}
	return list, nil
}

func (f *frame) query(x *xpathExpr, yield func(string) bool) (any, error) {
	r := f.values.Response
	if r == nil {
		return nil, &AbsentError{Path: string(Body), Why: "there is no response here"}
	}
	doc, err := r.xmlDocument()
	if err != nil {
		return nil, err
	}
	return x.evaluate(doc, yield)
}

// xmlDocument returns the parsed body; it is parsed once. One that is no XML document is a NotXMLError.
func (r *Response) xmlDocument() (*xmlquery.Node, error) {
	if r.Truncated {
		return nil, errTruncated
	}
	if r.xml == nil && r.xmlErr == nil {
		r.xml, r.xmlErr = decodeXML(r.Body)
	}
	return r.xml, r.xmlErr
}
