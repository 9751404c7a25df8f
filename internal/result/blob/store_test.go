package blob

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// drivers are the stores that must all behave alike.
var drivers = map[string]func(testing.TB) Replacer{
	"memory": func(testing.TB) Replacer { return &Memory{} },
	"file":   func(t testing.TB) Replacer { return openFile(t, FileOptions{Dir: t.TempDir()}) },
}

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

func TestStore(t *testing.T) {
	for name, open := range drivers {
		t.Run(name, func(t *testing.T) {
			s, ctx := open(t), t.Context()
			if _, err := s.Get(ctx, "a/b"); !errors.Is(err, ErrNotFound) {
				t.Errorf("Get of nothing: %v", err)
			}
			for range 2 {
				if err := s.PutIfAbsent(ctx, "a/b", []byte("one")); err != nil {
					t.Errorf("PutIfAbsent: %v", err)
				}
			}
			if err := s.PutIfAbsent(ctx, "a/b", []byte("two")); !errors.Is(err, ErrExists) {
				t.Errorf("PutIfAbsent of other content: %v, want ErrExists", err)
			}
			if data, err := s.Get(ctx, "a/b"); string(data) != "one" || err != nil {
				t.Errorf("Get = %q, %v", data, err)
			}
			if err := s.Put(ctx, "a/b", []byte("two")); err != nil {
				t.Errorf("Put: %v", err)
			}
			if data, err := s.Get(ctx, "a/b"); string(data) != "two" || err != nil {
				t.Errorf("Get after Put = %q, %v", data, err)
			}
			for range 2 {
				if err := s.Delete(ctx, "a/b"); err != nil {
					t.Errorf("Delete: %v", err)
				}
			}
			if got := keys(t, s, "", false); len(got) > 0 {
				t.Errorf("left: %q", got)
			}
			if err := s.PutIfAbsent(ctx, "empty", nil); err != nil {
				t.Errorf("PutIfAbsent of nothing: %v", err)
			}
		})
	}
}

func TestKeysThatLeadOutAreRefused(t *testing.T) {
	for name, open := range drivers {
		t.Run(name, func(t *testing.T) {
			s, ctx := open(t), t.Context()
			for _, key := range []string{"", "/", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", ".tmp/x", "a/.b", "a\\b", "a b", "a\x00b", "ä", strings.Repeat("a", 201), strings.Repeat("a/", 300) + "a"} {
				_, getErr := s.Get(ctx, key)
				for op, err := range map[string]error{
					"get": getErr, "put": s.Put(ctx, key, nil), "put if absent": s.PutIfAbsent(ctx, key, nil), "delete": s.Delete(ctx, key),
				} {
					if !errors.Is(err, ErrKey) {
						t.Errorf("%s %q: %v, want ErrKey", op, key, err)
					}
				}
			}
			for _, err := range s.List(ctx, "../", false) {
				if !errors.Is(err, ErrKey) {
					t.Errorf("List(../): %v, want ErrKey", err)
				}
			}
		})
	}
}

func TestList(t *testing.T) {
	all := []string{"a-b/x", "a.c", "a/b/c", "a/b/d", "a/bc", "a/z/y/x", "b"}
	for name, open := range drivers {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			for _, key := range all {
				if err := s.PutIfAbsent(t.Context(), key, []byte(key)); err != nil {
					t.Fatal(err)
				}
			}
			for _, tc := range []struct {
				prefix  string
				shallow bool
				want    []string
			}{
				{"", false, all},
				{"a/", false, []string{"a/b/c", "a/b/d", "a/bc", "a/z/y/x"}},
				{"a/b", false, []string{"a/b/c", "a/b/d", "a/bc"}},
				{"nothing/", false, nil},
				{"", true, []string{"a-b/", "a.c", "a/", "b"}},
				{"a/", true, []string{"a/b/", "a/bc", "a/z/"}},
			} {
				if got := keys(t, s, tc.prefix, tc.shallow); !slices.Equal(got, tc.want) {
					t.Errorf("List(%q, %v) = %q, want %q", tc.prefix, tc.shallow, got, tc.want)
				}
			}
		})
	}
}

func TestOfConcurrentWritersOneWins(t *testing.T) {
	for name, open := range drivers {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			var wg sync.WaitGroup
			errs := make([]error, 8)
			for i := range errs {
				wg.Go(func() { errs[i] = s.PutIfAbsent(t.Context(), "d/k", fmt.Append(nil, i)) })
			}
			wg.Wait()
			won := 0
			for i, err := range errs {
				if err != nil {
					if !errors.Is(err, ErrExists) {
						t.Errorf("writer %d: %v", i, err)
					}
					continue
				}
				won++
				if data, _ := s.Get(t.Context(), "d/k"); string(data) != fmt.Sprint(i) {
					t.Errorf("writer %d won, but the object is %q", i, data)
				}
			}
			if won != 1 {
				t.Errorf("%d writers won, want 1", won)
			}
		})
	}
}

func TestWritersAndDeletersOfOneDirectory(t *testing.T) {
	s := drivers["file"](t)
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

func TestStoresAreMaps(t *testing.T) {
	for name, open := range drivers {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(r *rapid.T) {
				s, ctx, model := open(t), t.Context(), map[string]string{}
				key := rapid.StringMatching(`[a-c]/[a-c]|[d-f]`)
				value := rapid.StringMatching(`[xy]{0,2}`)
				for range rapid.IntRange(1, 8).Draw(r, "steps") {
					k, v := key.Draw(r, "key"), value.Draw(r, "value")
					switch rapid.IntRange(0, 2).Draw(r, "op") {
					case 0:
						old, ok := model[k]
						err := s.PutIfAbsent(ctx, k, []byte(v))
						if want := ok && old != v; errors.Is(err, ErrExists) != want || !want && err != nil {
							r.Fatalf("PutIfAbsent(%s, %q) over %q, %v: %v", k, v, old, ok, err)
						}
						if !ok {
							model[k] = v
						}
					case 1:
						if err := s.Put(ctx, k, []byte(v)); err != nil {
							r.Fatal(err)
						}
						model[k] = v
					case 2:
						if err := s.Delete(ctx, k); err != nil {
							r.Fatal(err)
						}
						delete(model, k)
					}
				}
				if got, want := keys(t, s, "", false), slices.Sorted(maps.Keys(model)); !slices.Equal(got, want) {
					r.Fatalf("keys = %q, want %q", got, want)
				}
				for k, v := range model {
					if data, err := s.Get(ctx, k); string(data) != v || err != nil {
						r.Fatalf("Get(%s) = %q, %v, want %q", k, data, err, v)
					}
				}
			})
		})
	}
}

func TestFilesByDigest(t *testing.T) {
	s := &Memory{}
	ref, err := PutFile(t.Context(), s, []byte("scenario"))
	if err != nil || ref.Key != "files/"+ref.SHA256 || ref.Size != 8 {
		t.Fatalf("PutFile = %+v, %v", ref, err)
	}
	if data, err := GetFile(t.Context(), s, ref.SHA256); string(data) != "scenario" || err != nil {
		t.Errorf("GetFile = %q, %v", data, err)
	}
	if err := s.Put(t.Context(), ref.Key, []byte("tampered")); err != nil {
		t.Fatal(err)
	}
	if _, err := GetFile(t.Context(), s, ref.SHA256); !errors.Is(err, ErrCorrupt) {
		t.Errorf("GetFile of another content: %v, want ErrCorrupt", err)
	}
}
