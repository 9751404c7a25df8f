package blob_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"proofload/internal/result/blob"
	"proofload/internal/result/blob/blobtest"
)

func openFile(t testing.TB) blob.Replacer {
	t.Helper()
	f, err := blob.OpenFile(blob.FileOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatalf("OpenFile: %v", err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return f
}

func TestConformance(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		blobtest.Conformance(t, func(testing.TB) blob.Replacer { return &blob.Memory{} })
	})
	t.Run("file", func(t *testing.T) { blobtest.Conformance(t, openFile) })
}

func TestWritersAndDeletersOfOneDirectory(t *testing.T) {
	s := openFile(t)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 20 {
				key := fmt.Sprintf("d/e/%d-%d", i, n)
				if err := s.PutIfAbsent(t.Context(), key, []byte(key)); err != nil {
					t.Errorf("put %s: %v", key, err)
				}
				if err := s.Delete(t.Context(), key); err != nil {
					t.Errorf("delete %s: %v", key, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestFilesByDigest(t *testing.T) {
	s := &blob.Memory{}
	ref, err := blob.PutFile(t.Context(), s, []byte("scenario"))
	if err != nil || ref.Key != "files/"+ref.SHA256 || ref.Size != 8 {
		t.Fatalf("PutFile = %+v, %v", ref, err)
	}
	if data, err := blob.GetFile(t.Context(), s, ref.SHA256); string(data) != "scenario" || err != nil {
		t.Errorf("GetFile = %q, %v", data, err)
	}
	if err := s.Put(t.Context(), ref.Key, []byte("tampered")); err != nil {
		t.Fatal(err)
	}
	if _, err := blob.GetFile(t.Context(), s, ref.SHA256); !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("GetFile of another content: %v, want ErrCorrupt", err)
	}
}
