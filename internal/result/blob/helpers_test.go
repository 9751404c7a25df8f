package blob

import (
	"strings"
	"testing"
)

func openFile(t testing.TB, opts FileOptions) *File {
	t.Helper()
	f, err := OpenFile(opts)
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

func keys(t testing.TB, s Store, prefix string, shallow bool) []string {
	t.Helper()
	var got []string
	for info, err := range s.List(t.Context(), prefix, shallow) {
		if err != nil {
			t.Fatalf("List(%q): %v", prefix, err)
		}
		if info.Dir != strings.HasSuffix(info.Key, "/") {
			t.Errorf("entry %+v is half a directory", info)
		}
		got = append(got, info.Key)
	}
	return got
}
