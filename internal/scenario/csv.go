package scenario

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
)

// inspectCSV returns the header of a CSV file and the number of its rows; it checks that every row
// has a cell for every column.
func inspectCSV(data []byte) (header []string, rows int64, err error) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))))
	r.ReuseRecord = true
	first, err := r.Read()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return nil, 0, errors.New("it is empty: the first line names the columns")
		}
		return nil, 0, err
	}
	seen := map[string]bool{}
	for _, name := range first {
		if name == "" || seen[name] {
			return nil, 0, fmt.Errorf("column %q has no name or one that stands twice", name)
		}
		seen[name] = true
		header = append(header, name)
	}
	for {
		if _, err := r.Read(); errors.Is(err, io.EOF) {
			return header, rows, nil
		} else if err != nil {
			return nil, 0, err
		}
		rows++
	}
}
