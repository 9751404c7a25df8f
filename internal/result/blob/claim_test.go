package blob

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestAloneMeansAlone shows that nobody gets a store for himself that another one writes to, that
// the attempt touches nothing of the other's, and that readers are never in the way.
func TestAloneMeansAlone(t *testing.T) {
	dir := t.TempDir()
	first, err := OpenFile(FileOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	under := filepath.Join(dir, tempDir, "under-way")
	if err := os.WriteFile(under, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFile(FileOptions{Dir: dir, Alone: true}); !errors.Is(err, ErrInUse) {
		t.Errorf("alone beside a writer: %v, want ErrInUse", err)
	}
	if _, err := os.Stat(under); err != nil {
		t.Errorf("what the writer has under way is gone: %v", err)
	}
	reader, err := OpenFile(FileOptions{Dir: dir, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	alone, err := OpenFile(FileOptions{Dir: dir, Alone: true})
	if err != nil {
		t.Fatalf("alone beside a reader: %v", err)
	}
	if _, err := OpenFile(FileOptions{Dir: dir}); !errors.Is(err, ErrInUse) {
		t.Errorf("a writer beside one that is alone: %v, want ErrInUse", err)
	}
	for _, f := range []*File{alone, reader} {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
