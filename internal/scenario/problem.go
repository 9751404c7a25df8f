package scenario

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a scenario.
type Problem struct {
	File         string
	Line, Column int    // from 1; 0 when the problem is the whole file's
	Message      string // what is wrong, and what would be right
	// Refused says that it is no mistake of the language: the load may not go where it would.
	Refused bool
}

// String renders file:line:column: message.
func (p Problem) String() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.File, p.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
}

// Problems is everything that is wrong with a scenario, in the order of the file. It is an error.
type Problems []Problem

// Error lists all problems, one per line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// Refused tells whether nothing is wrong but that the load may not go where it would.
func (p Problems) Refused() bool {
	return len(p) > 0 && !slices.ContainsFunc(p, func(one Problem) bool { return !one.Refused })
}

// sorted returns the problems in the order of the file, each once.
func (p Problems) sorted() Problems {
	out := slices.Clone(p)
	slices.SortStableFunc(out, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), strings.Compare(a.Message, b.Message))
	})
	return slices.Compact(out)
}
