package expression

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
)

// Bounds of what is compiled, so that hostile input cannot make the compiler slow.
const (
	maxSource = 16 << 10
	maxNodes  = 2_000
)

// Program is a compiled expression. It is immutable and safe for concurrent use.
type Program struct {
	source string
	refs   []Ref
	path   *path       // the whole expression is one path
	cmp    *comparison // the whole expression is PATH OP LITERAL
	code   *vm.Program // otherwise
}

// CompileExpr compiles an expression for a place where scope can be read. The error is an *Error.
func CompileExpr(src string, scope Scope) (p *Program, err error) {
	defer func() {
		// The parser is not ours, and a scenario comes from outside: no input may end the process.
		if r := recover(); r != nil {
			p, err = nil, &Error{Source: src, Message: fmt.Sprintf("the expression cannot be compiled: %v", r)}
		}
	}()
	if len(src) > maxSource {
		return nil, &Error{Source: src, Offset: maxSource, Message: fmt.Sprintf("the expression is longer than %d bytes", maxSource)}
	}
	if strings.TrimSpace(src) == "" {
		return nil, &Error{Source: src, Message: "the expression is empty"}
	}
	config := newConfig()
	tree, err := parser.ParseWithConfig(src, config)
	if err != nil {
		return nil, compileError(src, err)
	}
	r := &rewriter{src: src, scope: scope}
	p = &Program{source: src}
	if p.path, p.cmp = r.simple(tree.Node); p.path == nil && p.cmp == nil {
		tree.Node = r.strict(tree.Node)
	}
	if p.refs = r.refs; r.err != nil {
		return nil, r.err
	}
	if p.path != nil || p.cmp != nil {
		return p, nil
	}
	if _, err := checker.Check(tree, config); err != nil {
		return nil, compileError(src, err)
	}
	if p.code, err = compiler.Compile(tree, config); err != nil {
		return nil, compileError(src, err)
	}
	return p, nil
}

// newConfig keeps the library's optimizer off: some of its rewritings change what is read.
func newConfig() *conf.Config {
	config := conf.New(nil)
	config.Strict = false
	config.Optimize = false
	config.MaxNodes = maxNodes
	config.Functions = functions
	config.Disabled = disabledBuiltins
	config.Builtins = enabledBuiltins
	return config
}

var disabledBuiltins, enabledBuiltins = disabled(), enabled()

func enabled() conf.FunctionsTable {
	on := conf.FunctionsTable{}
	for _, f := range builtin.Builtins {
		if _, ok := builtins[f.Name]; ok {
			on[f.Name] = f
		}
	}
	return on
}

// compileError takes position and message from an error of the library.
func compileError(src string, err error) error {
	if e, ok := errors.AsType[*file.Error](err); ok {
		return &Error{Source: src, Offset: min(len(src), byteOffset(src, e.From)), Message: e.Message}
	}
	message, _, _ := strings.Cut(err.Error(), "\n") // the compiler appends a stack
	return &Error{Source: src, Message: message}
}

// simple recognises the two forms that most expressions have.
func (r *rewriter) simple(n ast.Node) (*path, *comparison) {
	switch n := n.(type) {
	case *ast.IdentifierNode, *ast.MemberNode:
		if _, _, ok := r.chain(n); ok {
			return r.path(n), nil
		}
	case *ast.BinaryNode:
		op, known := comparisons[n.Operator]
		literal, isLiteral := literalOf(n.Right)
		if _, _, ok := r.chain(n.Left); ok && known && isLiteral {
			if p := r.path(n.Left); p != nil {
				return nil, &comparison{path: p, op: op, literal: literal, offset: byteOffset(r.src, n.Location().From)}
			}
			return nil, nil
		}
	}
	return nil, nil
}

// Source returns the text that was compiled.
func (p *Program) Source() string { return p.source }

// References returns what the expression reads, in the order of the source.
func (p *Program) References() []Ref { return p.refs }

// Reads tells whether the expression reads root.
func (p *Program) Reads(root Root) bool {
	return slices.ContainsFunc(p.refs, func(r Ref) bool { return r.Root == root })
}

type evaluator struct {
	machine vm.VM
	frame   frame
}

var evaluators = sync.Pool{New: func() any { return &evaluator{machine: vm.VM{MemoryBudget: maxItems}} }}

// Eval evaluates the expression: to nil, bool, int, float64, string, time.Duration, json.Number,
// []any or map[string]any, and what Values hold. What is absent is an *AbsentError, a body that is not
// JSON a *NotJSONError, a value of the wrong type an *Error, and an error of Values.Data itself.
func (p *Program) Eval(v *Values) (any, error) {
	switch {
	case p.path != nil:
		return p.path.load(v)
	case p.cmp != nil:
		ok, err := p.compare(v)
		return ok, err
	}
	e := evaluators.Get().(*evaluator)
	e.frame = frame{values: v}
	x, err := e.machine.Run(p.code, &e.frame)
	failed := e.frame.failed
	e.frame = frame{}
	clear(e.machine.Stack[:cap(e.machine.Stack)])
	clear(e.machine.Variables)
	evaluators.Put(e)
	switch {
	case failed != nil:
		return nil, failed
	case err != nil:
		return nil, p.evalError(err)
	}
	return x, nil
}

// Bool evaluates an expression that must be true or false.
func (p *Program) Bool(v *Values) (bool, error) {
	if p.cmp != nil {
		return p.compare(v)
	}
	x, err := p.Eval(v)
	if err != nil {
		return false, err
	}
	b, ok := x.(bool)
	if !ok {
		return false, &Error{Source: p.source, Message: "true or false is needed, not " + describe(x)}
	}
	return b, nil
}

// Number evaluates an expression that must be a finite number; a duration counts in seconds.
func (p *Program) Number(v *Values) (float64, error) {
	x, err := p.Eval(v)
	if err != nil {
		return 0, err
	}
	f, err := number(x)
	if err != nil {
		return 0, p.evalError(err)
	}
	return f, nil
}

func number(v any) (float64, error) {
	switch x := v.(type) {
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return 0, valueError("the result is not a number, such as after a division by zero")
		}
		return x, nil
	case time.Duration:
		return x.Seconds(), nil
	}
	if n, ok := toInt(v); ok {
		return float64(n), nil
	}
	return 0, valueError("a number is needed, not " + describe(v))
}

// evalError gives an error of an evaluation its type and position.
func (p *Program) evalError(err error) error {
	e := &Error{Source: p.source}
	if f, ok := errors.AsType[*file.Error](err); ok {
		e.Offset = min(len(p.source), byteOffset(p.source, f.From))
		e.Message = inWords.Replace(f.Message)
	} else {
		e.Message = err.Error()
	}
	if absent, ok := errors.AsType[*AbsentError](err); ok {
		return absent
	}
	if v, ok := errors.AsType[valueError](err); ok {
		e.Message = string(v)
	}
	if _, ok := errors.AsType[runtime.Error](err); ok {
		e.Message = "a value of the wrong type: " + e.Message
	}
	return e
}

// inWords replaces the names of Go types in messages of the library.
var inWords = strings.NewReplacer(
	"map[string]interface {}", "object", "[]interface {}", "list", "interface {}", "value", "<nil>", "null",
	"float64", "number", "json.Number", "whole number too large to compute with", "time.Duration", "duration", "runtime error: ", "",
)
