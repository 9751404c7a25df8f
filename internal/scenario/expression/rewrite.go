package expression

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
)

// rewriter turns a parsed expression into one whose every read is strict. Reads become calls of
// the functions in guards.go; what could yield nothing silently, loop without end or reach Go
// values is refused. After the first error the result is not used.
type rewriter struct {
	src    string
	scope  Scope
	locals []string // names declared by let, innermost last
	refs   []Ref
	err    *Error
}

func (r *rewriter) fail(n ast.Node, format string, args ...any) {
	if r.err == nil {
		r.err = &Error{Source: r.src, Offset: byteOffset(r.src, n.Location().From), Message: fmt.Sprintf(format, args...)}
	}
}

// strict rewrites n for a place where an absent value is an error.
func (r *rewriter) strict(n ast.Node) ast.Node {
	switch n := n.(type) {
	case *ast.IdentifierNode, *ast.MemberNode, *ast.ChainNode, *ast.PointerNode:
		return r.read(n, false)
	case *ast.UnaryNode:
		n.Node = r.strict(n.Node)
		if n.Operator == "!" || n.Operator == "not" {
			n.Node = boolean(n.Node)
		}
	case *ast.BinaryNode:
		return r.binary(n)
	case *ast.CallNode:
		return r.call(n)
	case *ast.BuiltinNode:
		return r.builtin(n, true)
	case *ast.ConditionalNode:
		n.Cond, n.Exp1, n.Exp2 = boolean(r.strict(n.Cond)), r.strict(n.Exp1), r.strict(n.Exp2)
	case *ast.VariableDeclaratorNode:
		n.Value = r.strict(n.Value)
		r.declare(n)
		n.Expr = r.strict(n.Expr)
		r.locals = r.locals[:len(r.locals)-1]
	default:
		return r.composite(n)
	}
	return n
}

// composite rewrites the nodes that only hold others.
func (r *rewriter) composite(n ast.Node) ast.Node {
	switch n := n.(type) {
	case *ast.SliceNode:
		n.Node = r.strict(n.Node)
		if n.From != nil {
			n.From = r.strict(n.From)
		}
		if n.To != nil {
			n.To = r.strict(n.To)
		}
	case *ast.SequenceNode:
		r.all(n.Nodes)
	case *ast.ArrayNode:
		r.all(n.Nodes)
		return charged(n)
	case *ast.MapNode:
		r.all(n.Pairs)
		return charged(n)
	case *ast.PairNode:
		n.Key, n.Value = r.strict(n.Key), r.strict(n.Value)
	case *ast.PredicateNode:
		n.Node = invoke(n, fnStep, environment(n), r.strict(n.Node))
	}
	return n
}

func (r *rewriter) all(nodes []ast.Node) {
	for i := range nodes {
		nodes[i] = r.strict(nodes[i])
	}
}

func (r *rewriter) declare(n *ast.VariableDeclaratorNode) {
	_, isBuiltin := builtin.Index[n.Name]
	if known(n.Name) || isBuiltin || functions[n.Name] != nil {
		r.fail(n, "let cannot name a variable %s: the word has a meaning already", n.Name)
	}
	r.locals = append(r.locals, n.Name)
}

func (r *rewriter) binary(n *ast.BinaryNode) ast.Node {
	if n.Operator == "??" {
		n.Left, n.Right = r.tolerant(n.Left), r.strict(n.Right)
		return n
	}
	n.Left, n.Right = r.strict(n.Left), r.strict(n.Right)
	switch n.Operator {
	case "&&", "and", "||", "or":
		n.Left, n.Right = boolean(n.Left), boolean(n.Right)
	case "matches", "contains", "startsWith", "endsWith":
		n.Left, n.Right = text(n.Left), text(n.Right)
	case "+":
		if !isNumber(n.Left) && !isNumber(n.Right) {
			return invoke(n, fnAdd, environment(n), n.Left, n.Right)
		}
	}
	return n
}

// tolerant rewrites n for a place where an absent value counts as nothing: left of a ??. Only
// the reading of the path itself is allowed to find nothing, not what is computed from one.
func (r *rewriter) tolerant(n ast.Node) ast.Node {
	switch n := n.(type) {
	case *ast.IdentifierNode, *ast.MemberNode, *ast.ChainNode:
		return invoke(n, fnNothing, r.read(n, true))
	case *ast.BinaryNode:
		if n.Operator == "??" {
			n.Left, n.Right = r.tolerant(n.Left), r.tolerant(n.Right)
			return n
		}
	case *ast.ConditionalNode:
		n.Cond, n.Exp1, n.Exp2 = boolean(r.strict(n.Cond)), r.tolerant(n.Exp1), r.tolerant(n.Exp2)
		return n
	case *ast.BuiltinNode:
		return r.builtin(n, false)
	}
	if call, name := extracting(n); call != nil {
		return invoke(n, fnNothing, r.extract(call, name, true))
	}
	return r.strict(n)
}

// read rewrites an identifier, a member or a pointer. When probing, an absent value yields the
// marker absent instead of an error.
func (r *rewriter) read(n ast.Node, probing bool) ast.Node {
	switch n := n.(type) {
	case *ast.PointerNode:
		if n.Name != "" && n.Name != "index" && n.Name != "acc" {
			r.fail(n, "unknown name #%s; known: #, #index, #acc", n.Name)
		}
		return n
	case *ast.ChainNode:
		if !probing {
			r.fail(n, "?. would yield nothing where an error belongs; write PATH ?? DEFAULT, or has(PATH)")
		}
		return r.read(n.Node, probing)
	case *ast.IdentifierNode:
		if slices.Contains(r.locals, n.Value) {
			return n
		}
		return r.readPath(n, probing)
	case *ast.MemberNode:
		if _, _, ok := r.chain(n); ok {
			return r.readPath(n, probing)
		}
		return r.readMember(n, probing)
	}
	return r.strict(n)
}

// readPath rewrites a chain of literal keys from a root.
func (r *rewriter) readPath(n ast.Node, probing bool) ast.Node {
	p := r.path(n)
	if p == nil {
		return n
	}
	r.refs[len(r.refs)-1].Guarded = probing // path has added it
	return invoke(n, choose(probing, fnProbe, fnLoad), environment(n), constant(n, p))
}

// readMember rewrites a member whose base or key is computed.
func (r *rewriter) readMember(n *ast.MemberNode, probing bool) ast.Node {
	described := constant(n, n.String())
	if id, ok := n.Node.(*ast.IdentifierNode); ok && Root(id.Value) == Headers && !slices.Contains(r.locals, id.Value) {
		r.refer(id, Ref{Root: Headers, Guarded: probing})
		return invoke(n, choose(probing, fnProbeHeader, fnHeader), environment(n), r.strict(n.Property), described)
	}
	key := r.strict(n.Property)
	return invoke(n, choose(probing, fnProbeMember, fnMember), r.read(n.Node, probing), key, described)
}

func choose(probing bool, probe, strict string) string {
	if probing {
		return probe
	}
	return strict
}

// chain takes apart a member whose keys are all literal down to a root.
func (r *rewriter) chain(n ast.Node) (*ast.IdentifierNode, []any, bool) {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		return n, nil, !slices.Contains(r.locals, n.Value)
	case *ast.MemberNode:
		root, keys, ok := r.chain(n.Node)
		key, literal := literalKey(n.Property)
		return root, append(keys, key), ok && literal
	}
	return nil, nil, false
}

func literalKey(n ast.Node) (any, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode:
		return n.Value, true
	case *ast.UnaryNode:
		if i, ok := n.Node.(*ast.IntegerNode); ok && n.Operator == "-" {
			return -i.Value, true
		}
	}
	return nil, false
}

// path checks a chain against the scope; nil after an error.
func (r *rewriter) path(n ast.Node) *path {
	id, keys, _ := r.chain(n)
	p := &path{root: Root(id.Value)}
	if !r.scope.has(p.root) {
		r.fail(id, "%s", r.scope.unknownRoot(id.Value))
		return nil
	}
	if named(p.root) && !r.takeNames(p, id, &keys) {
		return nil
	}
	switch p.root {
	case Status, Body, Size, Duration, Code:
		if len(keys) > 0 {
			r.fail(n, "%s has no members", p.root)
			return nil
		}
	}
	r.refer(id, Ref{Root: p.root, Name: p.name, Column: p.col})
	p.keys = keys
	return p
}

// takeNames takes the names that must follow a root from the front of keys.
func (r *rewriter) takeNames(p *path, id *ast.IdentifierNode, keys *[]any) bool {
	name, ok := takeName(keys)
	if !ok {
		r.fail(id, "%s must be followed by a name, as in %s.NAME", p.root, p.root)
		return false
	}
	p.name = name
	if p.root == Headers {
		return true
	}
	names := r.scope.names(p.root)
	if !names.has(name) && !slices.Contains(names, AnyName[0]) {
		r.fail(id, "%s", unknownName(string(p.root), name, names))
		return false
	}
	if p.root != Data {
		return true
	}
	if p.col, ok = takeName(keys); !ok {
		r.fail(id, "data.%s must be followed by a column, as in data.%s.COLUMN", name, name)
		return false
	}
	columns, ok := r.scope.Data[name]
	if ok && !columns.has(p.col) {
		r.fail(id, "%s", unknownName("data."+name, p.col, columns))
		return false
	}
	return true
}

func takeName(keys *[]any) (string, bool) {
	if len(*keys) == 0 {
		return "", false
	}
	name, ok := (*keys)[0].(string)
	*keys = (*keys)[1:]
	return name, ok
}

func (r *rewriter) refer(n ast.Node, ref Ref) {
	ref.Offset = byteOffset(r.src, n.Location().From)
	r.refs = append(r.refs, ref)
}

// call rewrites the call of a function of our own.
func (r *rewriter) call(n *ast.CallNode) ast.Node {
	id, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		r.fail(n, "values have no methods")
		return n
	}
	switch id.Value {
	case "has":
		return r.has(n)
	case "header":
		if len(n.Arguments) != 1 {
			r.fail(n, `header needs one name, as in header("content-type")`)
			return n
		}
		return r.read(&ast.MemberNode{Node: at(n, &ast.IdentifierNode{Value: string(Headers)}), Property: n.Arguments[0]}, false)
	}
	if _, ok := extractors[id.Value]; ok {
		return r.extract(n, id.Value, false)
	}
	r.fail(n, "%s", unknownFunction(id.Value))
	return n
}

// extracting returns the name of the extractor that n calls; empty when it calls none that may find nothing.
func extracting(n ast.Node) (*ast.CallNode, string) {
	call, ok := n.(*ast.CallNode)
	if !ok {
		return nil, ""
	}
	if id, ok := call.Callee.(*ast.IdentifierNode); ok && extractors[id.Value].probe != "" {
		return call, id.Value
	}
	return nil, ""
}

func (r *rewriter) has(n *ast.CallNode) ast.Node {
	if len(n.Arguments) == 1 {
		switch arg := n.Arguments[0].(type) {
		case *ast.IdentifierNode, *ast.MemberNode, *ast.ChainNode:
			return invoke(n, fnHas, r.read(arg, true))
		}
		if call, name := extracting(n.Arguments[0]); call != nil {
			return invoke(n, fnHas, r.extract(call, name, true))
		}
	}
	r.fail(n, "has needs one path, regex, jsonpath or xpath, as in has(json.name)")
	return n
}

func unknownFunction(name string) string {
	names := slices.AppendSeq([]string{"has", "header"}, maps.Keys(extractors))
	for allowed := range builtins {
		names = append(names, allowed)
	}
	if _, ok := builtin.Index[name]; ok || name == "groupBy" {
		return fmt.Sprintf("the function %s is not available in a scenario", name)
	}
	if strings.HasPrefix(name, "$") {
		return fmt.Sprintf("unknown function %q", name)
	}
	return fmt.Sprintf("unknown function %q%s", name, hint(name, names, "; known: "))
}

// builtin rewrites a function of the expression language. Where present, one that finds nothing is an error.
func (r *rewriter) builtin(n *ast.BuiltinNode, present bool) ast.Node {
	kind, ok := builtins[n.Name]
	if !ok {
		r.fail(n, "%s", unknownFunction(n.Name))
		return n
	}
	r.all(n.Arguments)
	var result ast.Node = n
	if own := ownPrefix + n.Name; functions[own] != nil {
		result = invoke(n, own, n.Arguments...)
	}
	switch {
	case kind == findsOne && present:
		return invoke(n, fnPresent, result, constant(n, n.Name))
	case kind == builds:
		return charged(result)
	}
	return result
}
