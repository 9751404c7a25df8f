// Package feed gives iterations their data: rows of files and generated values. Which row an
// iteration gets is a function of its identity alone, so that any number of workers deal the same
// rows, and none twice where they are unique.
package feed

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"strings"

	"github.com/brianvoe/gofakeit/v7"

	"proofload/internal/load/schedule"
	"proofload/internal/scenario"
)

// ErrExhausted says that a data set with on_end: stop has no row for an iteration.
var ErrExhausted = errors.New("data is exhausted")

// Identity says which row an iteration gets.
type Identity struct {
	// Arrival is the index of the arrival within its phase; among users, a number that no other iteration
	// of them has. It is negative when there is none left that would not be another's as well.
	Arrival int64
	User    int64         // number of the user; negative in an open phase
	Draw    schedule.Draw // of the iteration
	Owner   schedule.Draw // of the user, or of the iteration in an open phase
	// Deals is the rows of its phase, by data set; of a set that is not named, all are.
	Deals map[string]scenario.Deal
}

// Set is one data set. It is immutable and may be used concurrently.
type Set struct {
	name    string
	data    scenario.Dataset
	columns map[string]int
	cells   []string // row by row; of a csv file
	values  []any    // the same of JSON lines; nothing where a row lacks a column
	width   int64
	rows    int64
	order   schedule.Draw
}

// New reads a data set; content is its file, nil for generated data.
func New(name string, d scenario.Dataset, content []byte, seed uint64) (*Set, error) {
	s := &Set{name: name, data: d, columns: map[string]int{}, order: schedule.NewDraw(seed, "data/"+name)}
	switch {
	case d.JSONL != "":
		if err := s.lines(content); err != nil {
			return nil, fmt.Errorf("data %s: file %s: %w", name, d.JSONL, err)
		}
		return s, nil
	case d.CSV == "":
		for i, f := range d.Fake {
			s.columns[f.Name] = i
			if _, err := generate(f.Value, s.order); err != nil {
				return nil, fmt.Errorf("data %s: column %s: %w", name, f.Name, err)
			}
		}
		return s, nil
	}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))))
	records, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("data %s: file %s: %w", name, d.CSV, err)
	}
	if len(records) < 2 {
		return nil, fmt.Errorf("data %s: file %s has no rows", name, d.CSV)
	}
	for i, column := range records[0] {
		s.columns[column] = i
	}
	s.width, s.rows = int64(len(records[0])), int64(len(records)-1)
	for _, record := range records[1:] {
		s.cells = append(s.cells, record...)
	}
	return s, nil
}

// nothing stands where a row lacks a column.
var nothing any = &struct{ _ byte }{}

// lines reads a file of JSON lines.
func (s *Set) lines(content []byte) error {
	var rows []map[string]any
	for row, err := range scenario.Lines(content) {
		if err != nil {
			return err
		}
		for column := range row {
			if _, ok := s.columns[column]; !ok {
				s.columns[column] = len(s.columns)
			}
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		return errors.New("it has no rows")
	}
	s.width, s.rows = int64(len(s.columns)), int64(len(rows))
	s.values = make([]any, s.width*s.rows)
	for i := range s.values {
		s.values[i] = nothing
	}
	for i, row := range rows {
		for column, v := range row {
			s.values[i*int(s.width)+s.columns[column]] = v
		}
	}
	return nil
}

// Row returns the number of the row that an iteration gets; ErrExhausted when there is none.
func (s *Set) Row(id Identity) (int64, error) {
	if s.rows == 0 {
		return 0, nil // generated
	}
	n := id.Arrival
	if s.data.Per == "user" && id.User >= 0 {
		n = id.User
	}
	if s.data.Order == "random" {
		d := id.Draw
		if s.data.Per == "user" {
			d = id.Owner
		}
		return int64(d.Named(s.name).Uint64(0) % uint64(s.rows)), nil
	}
	deal, ok := id.Deals[s.name]
	if !ok {
		deal = scenario.Deal{Rows: s.rows}
	}
	if s.data.OnEnd != "stop" {
		return deal.First + (n%deal.Rows+deal.Rows)%deal.Rows, nil
	}
	if n < 0 || n >= deal.Rows || deal.First+n >= s.rows {
		return 0, fmt.Errorf("data %s has %d rows here: %w", s.name, deal.Rows, ErrExhausted)
	}
	return deal.First + n, nil
}

// Cell returns a column of a row: the text of a csv file, the value of a JSON line, or one generated for the
// iteration; false when the row has no such column. A value that is a list or an object is only to be read.
func (s *Set) Cell(row int64, column string, id Identity) (any, bool, error) {
	i, ok := s.columns[column]
	if !ok {
		return nil, false, nil
	}
	if s.values != nil {
		v := s.values[row*s.width+int64(i)]
		if v == nothing {
			return nil, false, nil
		}
		return v, true, nil
	}
	if s.rows > 0 {
		return s.cells[row*s.width+int64(i)], true, nil
	}
	d := id.Draw
	if s.data.Per == "user" {
		d = id.Owner
	}
	v, err := generate(s.data.Fake[i].Value, d.Named(s.name).Child(uint64(i)))
	return v, true, err
}

// generate evaluates a gofakeit function such as name or price(1,500). The same draw gives the same value.
func generate(function string, d schedule.Draw) (string, error) {
	// gofakeit writes arguments as {price:1,500}.
	call := "{" + strings.TrimSuffix(strings.Replace(function, "(", ":", 1), ")") + "}"
	text, err := gofakeit.NewFaker(d.Source(), false).Generate(call)
	if err != nil {
		return "", err
	}
	if text == call {
		return "", fmt.Errorf("there is no generator %q", function)
	}
	return text, nil
}
