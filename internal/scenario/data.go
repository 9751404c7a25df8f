package scenario

import (
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/brianvoe/gofakeit/v7"

	"proofload/internal/scenario/expression"
)

func (l *loader) buildData() {
	if len(l.file.Data) == 0 {
		return
	}
	l.plan.Data = map[string]Dataset{}
	for _, name := range slices.Sorted(maps.Keys(l.file.Data)) {
		f := l.file.Data[name]
		out := Dataset{
			Order: textOr(f.Order, "sequential"),
			Per:   textOr(f.Per, "iteration"), OnEnd: textOr(f.OnEnd, "wrap"),
		}
		switch {
		case f.CSV != nil:
			out.CSV = f.CSV.Value
			l.rows(name, &out, *f.CSV, inspectCSV)
		case f.JSONL != nil:
			out.JSONL = f.JSONL.Value
			l.rows(name, &out, *f.JSONL, inspectJSONL)
		}
		for _, column := range slices.Sorted(maps.Keys(f.Fake)) {
			l.generator(f.Fake[column])
			out.Fake = append(out.Fake, Field{column, f.Fake[column].Value})
		}
		if out.Order == "random" && out.OnEnd == "stop" {
			l.fail(f.OnEnd.At, "random rows have no end: any row may come again; use on_end: wrap, or order: sequential or unique")
		}
		if out.Order == "unique" {
			if f.OnEnd == nil {
				out.OnEnd = "stop"
			} else if out.OnEnd == "wrap" {
				l.fail(f.OnEnd.At, "unique rows cannot wrap: a second round would repeat them; use on_end: stop or order: sequential")
			}
		}
		l.plan.Data[name] = out
	}
}

// textOr returns the text given, or the one that leaving it out means.
func textOr(t *Text, left string) string {
	if t == nil {
		return left
	}
	return t.Value
}

// shipped reads a file that the scenario names and that workers get by its digest. It is false, with a
// problem noted, when there is none.
func (l *loader) shipped(name Text) (FileRef, []byte, bool) {
	full, ok := relative(l.parser.file, name.Value)
	if !ok {
		l.fail(name.At, "file %q must lie beside the scenario or below it", name.Value)
		return FileRef{}, nil, false
	}
	data, err := fs.ReadFile(l.fsys, full)
	if err != nil {
		l.fail(name.At, "file %s cannot be read: %s", full, reason(err))
		return FileRef{}, nil, false
	}
	return FileRef{Name: name.Value, Digest: Digest(data)}, data, true
}

// rows reads the file of a data set.
func (l *loader) rows(set string, out *Dataset, name Text, inspect func([]byte) (columns []string, rows int64, err error)) {
	ref, data, ok := l.shipped(name)
	if !ok {
		return
	}
	out.Digest = ref.Digest
	columns, rows, err := inspect(data)
	if err != nil {
		l.fail(name.At, "file %s: %s", path.Base(ref.Name), err)
		return
	}
	if rows == 0 && out.CSV != "" {
		l.fail(name.At, "file %s has a header and no rows", path.Base(ref.Name))
	} else if rows == 0 {
		l.fail(name.At, "file %s has no rows", path.Base(ref.Name))
	}
	out.Rows = rows
	if l.header == nil {
		l.header = map[string]expression.Names{}
	}
	l.header[set] = expression.Names(columns)
}

// place returns where a data set names its file.
func (f DataF) place() pos {
	switch {
	case f.CSV != nil:
		return f.CSV.At
	case f.JSONL != nil:
		return f.JSONL.At
	}
	return f.At
}

var call = regexp.MustCompile(`^\s*([A-Za-z0-9_]+)\s*(\(.*\))?\s*$`)

// generator refuses generated data that nothing generates.
func (l *loader) generator(t Text) {
	m := call.FindStringSubmatch(t.Value)
	if m == nil {
		l.fail(t.At, "%q is not a generator: write name or price(1,500)", t.Value)
		return
	}
	if gofakeit.GetFuncLookup(strings.ToLower(m[1])) == nil {
		near := expression.Nearest(m[1], slices.Collect(maps.Keys(gofakeit.FuncLookups)))
		if near != "" {
			near = "; did you mean " + near + "?"
		}
		l.fail(t.At, "there is no generator %q%s", m[1], near)
	}
}
