package cli

import (
	"fmt"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo terminal of a size.
func terminal(t *testing.T, columns, rows uint16) *os.File {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("this machine has no pseudo terminals: %v", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slave.Close() })
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}); err != nil {
		t.Fatal(err)
	}
	return slave
}

// TestNoColor shows when a terminal is written to in colours, and when it gets the live view.
func TestNoColor(t *testing.T) {
	tty := terminal(t, 50, 10)
	for name, c := range map[string]struct {
		env      map[string]string
		out      io.Writer
		colours  bool
		liveView bool
	}{
		"a terminal":             {nil, tty, true, true},
		"NO_COLOR":               {map[string]string{"NO_COLOR": "1"}, tty, false, true},
		"NO_COLOR that is empty": {map[string]string{"NO_COLOR": ""}, tty, true, true},
		"a dumb terminal":        {map[string]string{"TERM": "dumb"}, tty, false, false},
		"no terminal":            {nil, io.Discard, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			a := &app{stderr: c.out, getenv: func(key string) (string, bool) { v, ok := c.env[key]; return v, ok }}
			if got := a.colourful(c.out); got != c.colours {
				t.Errorf("colourful = %t, want %t", got, c.colours)
			}
			if _, got := a.newProgress("auto").(*tui); got != c.liveView {
				t.Errorf("live view %t, want %t", got, c.liveView)
			}
		})
	}
	if columns, rows := terminalSize(tty); columns != 50 || rows != 10 {
		t.Errorf("size %d x %d, want 50 x 10", columns, rows)
	}
}
