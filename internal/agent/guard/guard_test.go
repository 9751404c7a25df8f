package guard

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// TestNoGuard proves that a worker works on without a guard: with a program that does not exist, which is
// tried again, and with none at all.
func TestNoGuard(t *testing.T) {
	g := New(Options{
		Path: filepath.Join(t.TempDir(), "none"), Args: []string{"none"}, Restart: time.Millisecond, Logger: hclog.NewNullLogger(),
	})
	g.Start()
	g.Lives(aLife)
	time.Sleep(5 * time.Millisecond)
	g.Dismiss()
	g.Dismiss() // twice is as good as once

	var none *Guard
	none.Start()
	none.Lives(aLife)
	none.Dismiss()
}

// TestGuardThatDoesNotRead proves that a guard which hangs does not hold its worker up for ever.
func TestGuardThatDoesNotRead(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = read.Close() }()
	g := New(Options{Ward: Ward{Name: "w1"}, Logger: hclog.NewNullLogger()})
	g.pipe = write
	l := aLife
	for g.pipe != nil {
		l.Incarnation++
		g.Lives(l)
	}
}
