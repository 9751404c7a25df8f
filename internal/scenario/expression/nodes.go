package expression

import "github.com/expr-lang/expr/ast"

// at gives made the location of n.
func at(n, made ast.Node) ast.Node {
	made.SetLocation(n.Location())
	return made
}

func invoke(n ast.Node, function string, args ...ast.Node) ast.Node {
	return at(n, &ast.CallNode{Callee: at(n, &ast.IdentifierNode{Value: function}), Arguments: args})
}

func environment(n ast.Node) ast.Node { return at(n, &ast.IdentifierNode{Value: "$env"}) }

func constant(n ast.Node, v any) ast.Node { return at(n, &ast.ConstantNode{Value: v}) }

func charged(n ast.Node) ast.Node { return invoke(n, fnCharge, environment(n), n) }

// boolean makes sure that n is true or false, with a message that says what it is instead.
func boolean(n ast.Node) ast.Node {
	switch n := n.(type) {
	case *ast.BoolNode:
		return n
	case *ast.UnaryNode:
		if n.Operator == "!" || n.Operator == "not" {
			return n
		}
	case *ast.BinaryNode:
		switch n.Operator {
		case "==", "!=", "<", "<=", ">", ">=", "in", "matches", "contains", "startsWith", "endsWith", "&&", "and", "||", "or":
			return n
		}
	}
	return invoke(n, fnBool, n)
}

func text(n ast.Node) ast.Node {
	if _, ok := n.(*ast.StringNode); ok {
		return n
	}
	return invoke(n, fnText, n)
}

func isNumber(n ast.Node) bool {
	switch n.(type) {
	case *ast.IntegerNode, *ast.FloatNode:
		return true
	}
	return false
}
