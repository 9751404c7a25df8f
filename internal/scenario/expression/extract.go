package expression

import (
	"fmt"
	"regexp"

	"github.com/expr-lang/expr/ast"
)

// extractors are the functions that look for something in a text or in the body. Their pattern is written
// out, so that a wrong one is found before the run and a right one is compiled once.
var extractors = map[string]struct {
	find, probe string // the functions that do it
	all         bool   // a list of all that is found, perhaps empty, and not one
	xml         bool   // of the body as XML, not of a text
	example     string
}{
	"regex":    {find: fnRegex, probe: fnProbeRegex, example: `regex(body, "id=([0-9]+)")`},
	"regexAll": {find: fnRegexAll, all: true, example: `regexAll(body, "id=([0-9]+)")`},
	"xpath":    {find: fnXPath, probe: fnProbeXPath, xml: true, example: `xpath("//item[1]/@id")`},
	"xpathAll": {find: fnXPathAll, all: true, xml: true, example: `xpathAll("//item/@id")`},
}

const (
	fnRegex      = "$regex"
	fnProbeRegex = "$probe_regex"
	fnRegexAll   = "$regex_all"
	fnXPath      = "$xpath"
	fnProbeXPath = "$probe_xpath"
	fnXPathAll   = "$xpath_all"
)

// extract rewrites the call of an extractor; probing, what is not found yields the marker absent.
func (r *rewriter) extract(n *ast.CallNode, name string, probing bool) ast.Node {
	x := extractors[name]
	want := 2
	if x.xml {
		want = 1
	}
	var pattern *ast.StringNode
	if len(n.Arguments) == want {
		pattern, _ = n.Arguments[want-1].(*ast.StringNode)
	}
	if pattern == nil {
		r.fail(n, "%s needs its pattern written out, as in %s", name, x.example)
		return n
	}
	function := x.find
	if probing && !x.all {
		function = x.probe
	}
	var result ast.Node
	if x.xml {
		if !r.scope.has(Body) {
			r.fail(n, "%s", r.scope.unknownRoot(string(Body)))
			return n
		}
		path, err := compileXPath(pattern.Value)
		if err != nil {
			r.fail(pattern, "%s: %s", name, err)
			return n
		}
		r.refer(&ast.IdentifierNode{Value: string(Body)}, Ref{Root: Body})
		result = invoke(n, function, environment(n), constant(n, path))
	} else {
		re, err := regexp.Compile(pattern.Value)
		if err != nil {
			r.fail(pattern, "%s: the pattern is no regular expression: %s", name, err)
			return n
		}
		result = invoke(n, function, text(r.strict(n.Arguments[0])), constant(n, re))
	}
	if x.all {
		return charged(result)
	}
	return result
}

func init() { // as in guards.go
	for name, fn := range map[string]func(args ...any) (any, error){
		fnRegex:      findRegex,
		fnProbeRegex: func(args ...any) (any, error) { return probe(findRegex(args...)) },
		fnRegexAll:   findAllRegex,
		fnXPath:      func(args ...any) (any, error) { return args[0].(*frame).xpath(args[1].(*xpathExpr)) },
		fnProbeXPath: func(args ...any) (any, error) {
			v, err := args[0].(*frame).xpath(args[1].(*xpathExpr))
			if err != nil && IsAbsent(err) {
				args[0].(*frame).failed = nil
			}
			return probe(v, err)
		},
		fnXPathAll: func(args ...any) (any, error) { return args[0].(*frame).xpathAll(args[1].(*xpathExpr)) },
	} {
		functions[name] = newFunction(name, fn)
	}
}

// findRegex returns the first group of the first match, or the match when the pattern has no groups.
func findRegex(args ...any) (any, error) {
	re := args[1].(*regexp.Regexp)
	s := args[0].(string)
	at := re.FindStringSubmatchIndex(s)
	if v, ok := matched(s, at); ok {
		return v, nil
	}
	return nil, &AbsentError{Path: fmt.Sprintf("regex %q", re), Why: "nothing matches"}
}

// findAllRegex returns the same of every match.
func findAllRegex(args ...any) (any, error) {
	re := args[1].(*regexp.Regexp)
	s := args[0].(string)
	list := []any{}
	for _, at := range re.FindAllStringSubmatchIndex(s, maxItems) {
		if v, ok := matched(s, at); ok {
			list = append(list, v)
		}
	}
	return list, nil
}

// matched returns what a match stands for; false when there is none, or its group took no part in it.
func matched(s string, at []int) (string, bool) {
	if len(at) >= 4 {
		at = at[2:]
	}
	if at == nil || at[0] < 0 {
		return "", false
	}
	return s[at[0]:at[1]], true
}
