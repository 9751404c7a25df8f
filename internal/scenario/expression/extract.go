package expression

import (
	"fmt"
	"regexp"

	"github.com/expr-lang/expr/ast"
)

// extractor is a function that looks for something in a value or in the body. Its pattern is written out, so that a
// wrong one is found before the run and a right one is compiled once.
type extractor struct {
	find, probe string // the functions that do it
	all         bool   // a list of all that is found, perhaps empty, and not one
	in          space
	example     string
}

// space is where an extractor looks.
type space int

const (
	inText space = iota // its first argument
	inTree              // its first argument, decoded
	inXML               // the body
)

var extractors = map[string]extractor{
	"regex":       {find: fnRegex, probe: fnProbeRegex, example: `regex(body, "id=([0-9]+)")`},
	"regexAll":    {find: fnRegexAll, all: true, example: `regexAll(body, "id=([0-9]+)")`},
	"jsonpath":    {find: fnJSONPath, probe: fnProbeJSONPath, in: inTree, example: `jsonpath(json, "$.items[0].id")`},
	"jsonpathAll": {find: fnJSONPathAll, all: true, in: inTree, example: `jsonpathAll(json, "$.items[*].id")`},
	"xpath":       {find: fnXPath, probe: fnProbeXPath, in: inXML, example: `xpath("//item[1]/@id")`},
	"xpathAll":    {find: fnXPathAll, all: true, in: inXML, example: `xpathAll("//item/@id")`},
}

const (
	fnRegex         = "$regex"
	fnProbeRegex    = "$probe_regex"
	fnRegexAll      = "$regex_all"
	fnJSONPath      = "$jsonpath"
	fnProbeJSONPath = "$probe_jsonpath"
	fnJSONPathAll   = "$jsonpath_all"
	fnXPath         = "$xpath"
	fnProbeXPath    = "$probe_xpath"
	fnXPathAll      = "$xpath_all"
)

// arguments is how many there are, the pattern last.
func (x extractor) arguments() int {
	if x.in == inXML {
		return 1
	}
	return 2
}

// compile makes of a pattern what the functions take.
func (x extractor) compile(pattern string) (any, error) {
	switch x.in {
	case inTree:
		return compileJSONPath(pattern)
	case inXML:
		return compileXPath(pattern)
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("the pattern is no regular expression: %w", err)
	}
	return re, nil
}

// extract rewrites the call of an extractor; probing, what is not found yields the marker absent.
func (r *rewriter) extract(n *ast.CallNode, name string, probing bool) ast.Node {
	x := extractors[name]
	var pattern *ast.StringNode
	if want := x.arguments(); len(n.Arguments) == want {
		pattern, _ = n.Arguments[want-1].(*ast.StringNode)
	}
	if pattern == nil {
		r.fail(n, "%s needs its pattern written out, as in %s", name, x.example)
		return n
	}
	if x.in == inXML && !r.scope.has(Body) {
		r.fail(n, "%s", r.scope.unknownRoot(string(Body)))
		return n
	}
	if id, ok := n.Arguments[0].(*ast.IdentifierNode); ok && x.in == inTree && id.Value == string(Body) {
		r.fail(n, "%s looks at what is decoded, and body is text: write json, as in %s", name, x.example)
		return n
	}
	compiled, err := x.compile(pattern.Value)
	if err != nil {
		r.fail(pattern, "%s: %s", name, err)
		return n
	}
	function := x.find
	if probing && !x.all {
		function = x.probe
	}
	var result ast.Node
	switch x.in {
	case inText:
		result = invoke(n, function, text(r.strict(n.Arguments[0])), constant(n, compiled))
	case inTree:
		result = invoke(n, function, environment(n), r.strict(n.Arguments[0]), constant(n, compiled))
	case inXML:
		r.refer(&ast.IdentifierNode{Value: string(Body)}, Ref{Root: Body})
		result = invoke(n, function, environment(n), constant(n, compiled))
	}
	if x.all {
		return charged(result)
	}
	return result
}

func init() { // as in guards.go
	for name, fn := range map[string]func(args ...any) (any, error){
		fnRegex:         findRegex,
		fnProbeRegex:    func(args ...any) (any, error) { return probe(findRegex(args...)) },
		fnRegexAll:      findAllRegex,
		fnJSONPath:      findJSONPath,
		fnProbeJSONPath: func(args ...any) (any, error) { return probe(findJSONPath(args...)) },
		fnJSONPathAll:   findAllJSONPath,
		fnXPath:         func(args ...any) (any, error) { return args[0].(*frame).xpath(args[1].(*xpathExpr)) },
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
