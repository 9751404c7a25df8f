package embedded

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A full disk must neither end the process nor hang it: what happens next is the caller's decision.
func TestFullDiskIsReported(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small tmpfs")
	}
	if !inChild(t) {
		return
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=40m"); err != nil {
		t.Skipf("mount of a small tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	s, err := Start(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	fill(t, filepath.Join(dir, "ballast"))
	value := strings.Repeat("x", 1<<20)
	var failure error
	for failure == nil {
		_, err := s.Client().Put(t.Context(), "/k", value)
		if err == nil {
			continue // there was preallocated room
		}
		select {
		case failure = <-s.Failed():
		case <-time.After(time.Minute):
			t.Fatalf("write refused (%v), but no failure was reported", err)
		}
	}
	if !strings.Contains(failure.Error(), "no space left") || strings.Contains(failure.Error(), "\n") {
		t.Errorf("failure = %q", failure)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// fill takes all the room that is left on the disk.
func fill(t *testing.T, name string) {
	t.Helper()
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 4096)
	for err == nil {
		_, err = file.Write(block)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}
