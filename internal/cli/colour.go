package cli

import (
	"io"
	"os"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/term"
)

// colourful tells whether a writer is a terminal that may be written to in colours: nobody has set
// NO_COLOR, and it is not a dumb one.
func (a *app) colourful(w io.Writer) bool {
	no, _ := a.getenv("NO_COLOR")
	return no == "" && a.capable(w)
}

// capable tells whether a writer is a terminal that obeys control sequences.
func (a *app) capable(w io.Writer) bool {
	kind, _ := a.getenv("TERM")
	return kind != "dumb" && isTerminal(w)
}

func (a *app) logColour() hclog.ColorOption {
	if a.colourful(a.stderr) {
		return hclog.ForceColor
	}
	return hclog.ColorOff
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// terminalSize returns the size of the terminal that w is; that of a common one if it is none.
func terminalSize(w io.Writer) (columns, rows int) {
	if f, ok := w.(*os.File); ok {
		if columns, rows, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 && rows > 0 {
			return columns, rows
		}
	}
	return 80, 24
}

// ink paints text, or leaves it as it is.
type ink bool

const (
	bold  = "1"
	faint = "2"
)

func (i ink) paint(code, text string) string {
	if !i || code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// toneOf is the colour of a result, that of the summary.
func toneOf(result string) string {
	return map[string]string{"PASS": "1;32", "FAIL": "1;31", "INVALID": "1;33", "ABORTED": "1;35", "PENDING": faint}[result]
}
