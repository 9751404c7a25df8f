//go:build unix

package coordinator

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

// TestStoreThatHangs keeps no coordinator from leading: not even one whose reads never return, as those of a disk in
// the network whose server is gone.
func TestStoreThatHangs(t *testing.T) {
	second, identity := lastOfTwo(t, func(identity string) error {
		return errors.Join(os.Rename(identity, identity+".away"), syscall.Mkfifo(identity, 0o600)) // who opens it waits for a writer
	})
	second.awaitLeader(t)
	pipe, err := os.OpenFile(identity, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(identity+".away", identity); err != nil {
		t.Fatal(err)
	}
	if err := pipe.Close(); err != nil { // who waits reads the end of it
		t.Fatal(err)
	}
}
