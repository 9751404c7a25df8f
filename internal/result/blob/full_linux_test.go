package blob

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
)

// smallDisk mounts a file system of one MiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small tmpfs")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("mount of a small tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

func TestFullDisk(t *testing.T) {
	dir := smallDisk(t)
	f := openFile(t, FileOptions{Dir: dir})
	if err := f.PutIfAbsent(t.Context(), "a/first", []byte("acknowledged")); err != nil {
		t.Fatal(err)
	}
	big := bytes.Repeat([]byte{1}, 2<<20)
	err := f.PutIfAbsent(t.Context(), "a/big", big)
	if !errors.Is(err, ErrNoSpace) {
		t.Fatalf("put on a full disk: %v, want ErrNoSpace", err)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %q", err)
	}
	if names := temps(t, dir); len(names) != 0 {
		t.Errorf("left: %q", names)
	}
	if _, err := f.Get(t.Context(), "a/big"); !errors.Is(err, ErrNotFound) {
		t.Errorf("half an object is there: %v", err)
	}
	if data, err := f.Get(t.Context(), "a/first"); string(data) != "acknowledged" || err != nil {
		t.Errorf("what was acknowledged: %q, %v", data, err)
	}
	if err := f.PutIfAbsent(t.Context(), "a/small", []byte("room again")); err != nil {
		t.Errorf("put with room again: %v", err)
	}
}

func TestReadOnlyDisk(t *testing.T) {
	dir := smallDisk(t)
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Skipf("remount of a tmpfs read-only: %v", err)
	}
	if _, err := OpenFile(FileOptions{Dir: dir}); !errors.Is(err, ErrNotWritable) {
		t.Errorf("OpenFile on a read-only file system: %v, want ErrNotWritable", err)
	}
}
