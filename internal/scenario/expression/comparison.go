package expression

import (
	"fmt"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm/runtime"
)

// comparison is PATH OP LITERAL, the form of most checks. It is evaluated without the virtual
// machine, by the same functions.
type comparison struct {
	path    *path
	op      func(a, b any) bool
	literal any
	offset  int
}

var comparisons = map[string]func(a, b any) bool{
	"==": runtime.Equal,
	"!=": func(a, b any) bool { return !runtime.Equal(a, b) },
	"<":  runtime.Less,
	"<=": runtime.LessOrEqual,
	">":  runtime.More,
	">=": runtime.MoreOrEqual,
}

func literalOf(n ast.Node) (any, bool) {
	switch n := n.(type) {
	case *ast.IntegerNode:
		return n.Value, true
	case *ast.FloatNode:
		return n.Value, true
	case *ast.StringNode:
		return n.Value, true
	case *ast.BoolNode:
		return n.Value, true
	}
	return nil, false
}

// compare evaluates p.cmp. The library's comparisons panic on values that cannot be compared.
func (p *Program) compare(v *Values) (result bool, err error) {
	x, err := p.cmp.path.load(v)
	if err != nil {
		return false, err
	}
	defer func() {
		if r := recover(); r != nil {
			err = &Error{Source: p.source, Offset: p.cmp.offset, Message: inWords.Replace(fmt.Sprint(r))}
		}
	}()
	return p.cmp.op(x, p.cmp.literal), nil
}
