package blob

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// temps returns the names of temporary files in a store.
func temps(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, tempDir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestLeftoversOfACrashAreRemovedAtOpen(t *testing.T) {
	dir := t.TempDir()
	openFile(t, FileOptions{Dir: dir})
	left := filepath.Join(dir, tempDir, "LEFTOVER")
	if err := os.WriteFile(left, []byte("half a segm"), 0o600); err != nil {
		t.Fatal(err)
	}
	shared := openFile(t, FileOptions{Dir: dir, Shared: true})
	if len(temps(t, dir)) != 1 {
		t.Error("in a shared store the file of another writer was removed")
	}
	old := time.Now().Add(-2 * staleAfter)
	if err := os.Chtimes(left, old, old); err != nil {
		t.Fatal(err)
	}
	openFile(t, FileOptions{Dir: dir, Shared: true})
	if names := temps(t, dir); len(names) != 0 {
		t.Errorf("left in a shared store: %q", names)
	}
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	openFile(t, FileOptions{Dir: dir})
	if names := temps(t, dir); len(names) != 0 {
		t.Errorf("left: %q", names)
	}
	if got := keys(t, shared, "", false); len(got) != 0 {
		t.Errorf("a temporary file is listed: %q", got)
	}
}

func TestNoTemporaryFileIsLeftByPuts(t *testing.T) {
	dir := t.TempDir()
	f := openFile(t, FileOptions{Dir: dir})
	for _, content := range []string{"one", "one", "two"} {
		_ = f.PutIfAbsent(t.Context(), "a/k", []byte(content)) // the last one is refused
	}
	if err := f.Put(t.Context(), "a/k", []byte("three")); err != nil {
		t.Fatal(err)
	}
	if names := temps(t, dir); len(names) != 0 {
		t.Errorf("left: %q", names)
	}
}

// A writer that died after linking and before syncing the directory has left a complete object: the
// repetition by another process finds it.
func TestCrashBetweenLinkAndAcknowledgement(t *testing.T) {
	dir := t.TempDir()
	first := openFile(t, FileOptions{Dir: dir})
	temp, err := first.temp([]byte("segment"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(first.mkdir("a"), first.root.Link(temp, "a/k")); err != nil {
		t.Fatal(err)
	}
	second := openFile(t, FileOptions{Dir: dir})
	if err := second.PutIfAbsent(t.Context(), "a/k", []byte("segment")); err != nil {
		t.Errorf("repetition: %v", err)
	}
	if data, err := second.Get(t.Context(), "a/k"); string(data) != "segment" || err != nil {
		t.Errorf("Get = %q, %v", data, err)
	}
}

func TestReadOnlyStoreTouchesNothing(t *testing.T) {
	dir := t.TempDir()
	f := openFile(t, FileOptions{Dir: dir, ReadOnly: true})
	if got := keys(t, f, "", false); len(got) != 0 {
		t.Errorf("keys = %q", got)
	}
	if entries, err := os.ReadDir(dir); len(entries) != 0 || err != nil {
		t.Errorf("open for reading left %v, %v", entries, err)
	}
	if _, err := OpenFile(FileOptions{Dir: filepath.Join(dir, "absent"), ReadOnly: true}); !errors.Is(err, ErrNotFound) {
		t.Errorf("open of an absent store: %v, want ErrNotFound", err)
	}
}

func TestStoreThatCannotBeWritten(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere: permissions cannot be shown")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFile(FileOptions{Dir: dir}); !errors.Is(err, ErrNotWritable) {
		t.Errorf("OpenFile: %v, want ErrNotWritable", err)
	}
}

func TestSymbolicLinksDoNotLeadOut(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("s"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	f := openFile(t, FileOptions{Dir: dir})
	if data, err := f.Get(t.Context(), "out/secret"); err == nil {
		t.Errorf("read %q through a link out of the store", data)
	}
	if err := f.Put(t.Context(), "out/new", []byte("x")); err == nil {
		t.Error("wrote through a link out of the store")
	}
	if _, err := os.Stat(filepath.Join(outside, "new")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("file outside: %v", err)
	}
}
