package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"proofload/internal/scenario/expression"
)

// Lines yields the rows of a file of JSON lines: objects of scalars and of anything below them, typed as
// expressions type JSON. Empty lines are passed over. The error names the line, after which nothing follows.
func Lines(data []byte) iter.Seq2[map[string]any, error] {
	return func(yield func(map[string]any, error) bool) {
		data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
		for number := 1; len(data) > 0; number++ {
			var line []byte
			line, data, _ = bytes.Cut(data, []byte("\n"))
			if line = bytes.TrimSpace(line); len(line) == 0 {
				continue
			}
			v, err := expression.DecodeJSON(line)
			row, isObject := v.(map[string]any)
			if e, ok := errors.AsType[*expression.NotJSONError](err); ok {
				err = fmt.Errorf("line %d is not JSON: %w", number, e.Err)
			} else if err == nil && !isObject {
				err = fmt.Errorf("line %d is no object: its keys would be the columns", number)
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// inspectJSONL returns the columns of a file of JSON lines, those of any of its rows, and the number of rows.
func inspectJSONL(data []byte) (columns []string, rows int64, err error) {
	seen := map[string]bool{}
	for row, err := range Lines(data) {
		if err != nil {
			return nil, 0, err
		}
		for name := range row {
			seen[name] = true
		}
		rows++
	}
	return slices.Sorted(maps.Keys(seen)), rows, nil
}
