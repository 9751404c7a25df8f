package expression

import (
	"fmt"

	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/vm/runtime"
)

// Names of the functions that the rewriter puts into expressions. A scenario cannot call them.
const (
	fnLoad        = "$load"
	fnProbe       = "$probe"
	fnMember      = "$member"
	fnProbeMember = "$probe_member"
	fnHeader      = "$header"
	fnProbeHeader = "$probe_header"
	fnNothing     = "$nothing"
	fnHas         = "$has"
	fnPresent     = "$present"
	fnBool        = "$bool"
	fnText        = "$text"
	fnAdd         = "$add"
	fnStep        = "$step"
	fnCharge      = "$charge"
	ownPrefix     = "$own_"
)

// Bounds of one evaluation. A step is one element that a predicate or a JSONPath looks at; size counts values
// and bytes of text built, shared parts once for each place they appear at, so that nothing that
// is written out later can be larger.
const (
	maxSteps = 1_000_000
	maxSize  = 16 << 20
	maxItems = 1_000_000 // elements of lists made by the expression library itself
)

// absent is what a probing read yields for what is not there.
type absent struct{}

// frame is one evaluation.
type frame struct {
	values *Values
	steps  int
	size   int
	failed error // of the read that ended the evaluation
}

// read loads p; the virtual machine would hide the type of an error among its own.
func (f *frame) read(p *path) (any, error) {
	v, err := p.load(f.values)
	f.failed = err
	return v, err
}

// probe loads p, and yields the marker where it is absent.
func (f *frame) probe(p *path) (any, error) {
	v, err := probe(p.load(f.values))
	f.failed = err
	return v, err
}

// step counts so many more elements that are looked at.
func (f *frame) step(n int) error {
	if f.steps += n; f.steps > maxSteps {
		return valueError(fmt.Sprintf("the expression takes more than %d steps", maxSteps))
	}
	return nil
}

// charge counts v as built in this evaluation.
func (f *frame) charge(v any) error {
	f.size += sizeOf(v, maxSize-f.size)
	if f.size > maxSize {
		return valueError(fmt.Sprintf("the expression builds more than %d MiB", maxSize>>20))
	}
	return nil
}

// sizeOf is the number of values and bytes of text in v; it stops counting beyond limit.
func sizeOf(v any, limit int) int {
	n := 1
	switch x := v.(type) {
	case string:
		n += len(x)
	case []string:
		for _, e := range x {
			n += 1 + len(e)
		}
	case []int:
		n += len(x)
	case []float64:
		n += len(x)
	case []any:
		for _, e := range x {
			if n > limit {
				return n
			}
			n += sizeOf(e, limit-n)
		}
	case map[string]any:
		for k, e := range x {
			if n > limit {
				return n
			}
			n += len(k) + sizeOf(e, limit-n)
		}
	}
	return n
}

// functions is every function of our own, by the name under which the rewriter calls it.
var functions = map[string]*builtin.Function{}

func init() { // a function table whose functions refer to the table's constants only
	for name, fn := range map[string]func(args ...any) (any, error){
		fnLoad: func(args ...any) (any, error) {
			return args[0].(*frame).read(args[1].(*path))
		},
		fnProbe: func(args ...any) (any, error) {
			return args[0].(*frame).probe(args[1].(*path))
		},
		fnMember: func(args ...any) (any, error) { return dynamicMember(args[0], args[1], args[2].(string)) },
		fnProbeMember: func(args ...any) (any, error) {
			return probe(dynamicMember(args[0], args[1], args[2].(string)))
		},
		fnHeader:      dynamicHeader,
		fnProbeHeader: func(args ...any) (any, error) { return probe(dynamicHeader(args...)) },
		fnNothing: func(args ...any) (any, error) {
			if args[0] == (absent{}) {
				return nil, nil
			}
			return args[0], nil
		},
		fnHas: func(args ...any) (any, error) { return args[0] != any(absent{}), nil },
		fnPresent: func(args ...any) (any, error) {
			if runtime.IsNil(args[0]) {
				return nil, &AbsentError{Path: "the result of " + args[1].(string), Why: "nothing was found"}
			}
			return args[0], nil
		},
		fnBool: func(args ...any) (any, error) {
			if _, ok := args[0].(bool); !ok {
				return nil, valueError("true or false is needed, not " + describe(args[0]))
			}
			return args[0], nil
		},
		fnText: func(args ...any) (any, error) {
			if _, ok := args[0].(string); !ok {
				return nil, valueError("text is needed, not " + describe(args[0]))
			}
			return args[0], nil
		},
		fnAdd: func(args ...any) (any, error) {
			sum := runtime.Add(args[1], args[2])
			if _, ok := sum.(string); ok {
				return sum, args[0].(*frame).charge(sum)
			}
			return sum, nil
		},
		fnStep: func(args ...any) (any, error) {
			return args[1], args[0].(*frame).step(1)
		},
		fnCharge: func(args ...any) (any, error) { return args[1], args[0].(*frame).charge(args[1]) },
	} {
		functions[name] = newFunction(name, fn)
	}
	for name, fn := range own {
		functions[ownPrefix+name] = newFunction(ownPrefix+name, fn)
	}
}

func newFunction(name string, fn func(args ...any) (any, error)) *builtin.Function {
	return &builtin.Function{Name: name, Func: fn}
}

// probe turns the error of an absent value into the marker; other errors remain.
func probe(v any, err error) (any, error) {
	if err != nil && IsAbsent(err) {
		return absent{}, nil
	}
	return v, err
}

// dynamicMember reads a member whose key was computed.
func dynamicMember(base, key any, text string) (any, error) {
	if base == (absent{}) {
		return base, nil
	}
	if v, ok := member(base, key); ok {
		return v, nil
	}
	why := ""
	if _, object := base.(map[string]any); !object {
		why = "it was looked for in " + describe(base)
		if list, ok := base.([]any); ok {
			why += fmt.Sprintf(" of %d", len(list))
		}
	}
	return nil, &AbsentError{Path: text, Why: why}
}

func dynamicHeader(args ...any) (any, error) {
	name, ok := args[1].(string)
	if !ok {
		return nil, valueError("the name of a header is text, not " + describe(args[1]))
	}
	return loadHeader(args[0].(*frame).values.Response, name, args[2].(string))
}
