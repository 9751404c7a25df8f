package report

// The tones in which something is shown; each is also told by a word or a sign, never by colour alone.
const (
	toneGood    = "good"
	toneBad     = "bad"
	toneWarn    = "warn"
	toneNeutral = "neutral"
)

// table is rows for people. The first cell of a row names it. Renderers print tables as they are;
// what stands in them is decided once, for all formats.
type table struct {
	Caption string
	Columns []column
	Rows    [][]cell
	Left    int  // rows that were left out because there are too many
	Quiet   bool // the heading above says what the caption says
	Stacked bool // on a narrow screen each row is a block of its own, because every cell of it counts
}

// column is the head of a column.
type column struct {
	Name    string
	Numeric bool
	Prose   bool // sentences, which need room
}

// cell is one value, with a smaller second line where Sub is set.
type cell struct {
	Text string
	Sub  string
	Tone string
}

// text makes a column of words, number one of numbers, prose one of sentences.
func text(name string) column   { return column{Name: name} }
func number(name string) column { return column{Name: name, Numeric: true} }
func prose(name string) column  { return column{Name: name, Prose: true} }

// add appends a row of plain values.
func (t *table) add(values ...string) {
	row := make([]cell, len(values))
	for i, v := range values {
		row[i] = cell{Text: v}
	}
	t.Rows = append(t.Rows, row)
}

// first returns t with at most n rows.
func (t table) first(n int) table {
	if len(t.Rows) > n {
		t.Left += len(t.Rows) - n
		t.Rows = t.Rows[:n]
	}
	return t
}

// toneOf is the tone of a result.
func toneOf(result string) string {
	switch result {
	case Pass, Valid:
		return toneGood
	case Fail:
		return toneBad
	case Invalid, Degraded:
		return toneWarn
	default:
		return toneNeutral
	}
}
