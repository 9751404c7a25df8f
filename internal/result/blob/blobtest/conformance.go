// Package blobtest holds what every driver of package blob must do, as tests of a driver.
package blobtest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"proofload/internal/result/blob"
)

// Open returns an empty store, and releases it with the test.
type Open func(testing.TB) blob.Replacer

// Conformance tests the driver that open returns stores of.
func Conformance(t *testing.T, open Open) {
	for name, test := range map[string]func(*testing.T, blob.Replacer){
		"put get replace delete": lifeOfAnObject,
		"keys that lead out":     keysThatLeadOut,
		"list":                   list,
		"of 20 writers one wins": oneWins,
		"20 writers of the same": sameContent,
		"8 MiB":                  large,
		"corrupt object":         corrupt,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
	t.Run("map", func(t *testing.T) { isMap(t, open) })
}

// Keys lists a store.
func Keys(t testing.TB, s blob.Store, prefix string, shallow bool) []string {
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

func lifeOfAnObject(t *testing.T, s blob.Replacer) {
	ctx := t.Context()
	if _, err := s.Get(ctx, "a/b"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Get of nothing: %v", err)
	}
	for range 2 {
		if err := s.PutIfAbsent(ctx, "a/b", []byte("one")); err != nil {
			t.Errorf("PutIfAbsent: %v", err)
		}
	}
	if err := s.PutIfAbsent(ctx, "a/b", []byte("two")); !errors.Is(err, blob.ErrExists) {
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
	if got := Keys(t, s, "", false); len(got) > 0 {
		t.Errorf("left: %q", got)
	}
	for range 2 {
		if err := s.PutIfAbsent(ctx, "empty", nil); err != nil {
			t.Errorf("PutIfAbsent of nothing: %v", err)
		}
	}
}

func keysThatLeadOut(t *testing.T, s blob.Replacer) {
	ctx := t.Context()
	for _, key := range []string{"", "/", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", ".tmp/x", "a/.b", "a\\b", "a b", "a\x00b", "ä", strings.Repeat("a", 201), strings.Repeat("a/", 300) + "a"} {
		_, getErr := s.Get(ctx, key)
		for op, err := range map[string]error{
			"get": getErr, "put": s.Put(ctx, key, nil), "put if absent": s.PutIfAbsent(ctx, key, nil), "delete": s.Delete(ctx, key),
		} {
			if !errors.Is(err, blob.ErrKey) {
				t.Errorf("%s %q: %v, want ErrKey", op, key, err)
			}
		}
	}
	for _, err := range s.List(ctx, "../", false) {
		if !errors.Is(err, blob.ErrKey) {
			t.Errorf("List(../): %v, want ErrKey", err)
		}
	}
}

func list(t *testing.T, s blob.Replacer) {
	all := []string{"a-b/x", "a.c", "a/b/c", "a/b/d", "a/bc", "a/z/y/x", "b"}
	for _, i := range rand.Perm(len(all)) {
		if err := s.PutIfAbsent(t.Context(), all[i], []byte(all[i])); err != nil {
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
		if got := Keys(t, s, tc.prefix, tc.shallow); !slices.Equal(got, tc.want) {
			t.Errorf("List(%q, %v) = %q, want %q", tc.prefix, tc.shallow, got, tc.want)
		}
	}
}

const writers = 20

// race has every writer put what content says, and returns what they were answered.
func race(t *testing.T, s blob.Replacer, content func(i int) []byte) []error {
	t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, writers)
	start := make(chan struct{})
	for i := range errs {
		wg.Go(func() {
			<-start
			errs[i] = s.PutIfAbsent(t.Context(), "d/k", content(i))
		})
	}
	close(start)
	wg.Wait()
	return errs
}

func oneWins(t *testing.T, s blob.Replacer) {
	for round := range 3 {
		won := 0
		for i, err := range race(t, s, func(i int) []byte { return fmt.Append(nil, i) }) {
			if err != nil {
				if !errors.Is(err, blob.ErrExists) {
					t.Errorf("round %d, writer %d: %v", round, i, err)
				}
				continue
			}
			won++
			if data, err := s.Get(t.Context(), "d/k"); string(data) != fmt.Sprint(i) || err != nil {
				t.Errorf("round %d: writer %d won, but the object is %q, %v", round, i, data, err)
			}
		}
		if won != 1 {
			t.Errorf("round %d: %d writers won, want 1", round, won)
		}
		if err := s.Delete(t.Context(), "d/k"); err != nil {
			t.Fatal(err)
		}
	}
}

func sameContent(t *testing.T, s blob.Replacer) {
	for i, err := range race(t, s, func(int) []byte { return []byte("segment") }) {
		if err != nil {
			t.Errorf("writer %d: %v", i, err)
		}
	}
}

func large(t *testing.T, s blob.Replacer) {
	data := make([]byte, 8<<20)
	for i := range data {
		data[i] = byte(i * 2654435761 >> 13)
	}
	ref := blob.RefOf("large/object", data)
	for range 2 {
		if err := s.PutIfAbsent(t.Context(), ref.Key, data); err != nil {
			t.Fatal(err)
		}
	}
	got, err := blob.Load(t.Context(), s, ref)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	data[len(data)-1]++
	if err := s.PutIfAbsent(t.Context(), ref.Key, data); !errors.Is(err, blob.ErrExists) {
		t.Errorf("PutIfAbsent of another last byte: %v, want ErrExists", err)
	}
	if err := s.Put(t.Context(), ref.Key, data); err != nil {
		t.Errorf("Put: %v", err)
	}
}

func corrupt(t *testing.T, s blob.Replacer) {
	ref, err := blob.PutFile(t.Context(), s, []byte("scenario"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), ref.Key, []byte("tampered")); err != nil {
		t.Fatal(err)
	}
	if _, err := blob.Load(t.Context(), s, ref); !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("Load of other content: %v, want ErrCorrupt", err)
	}
}

// isMap compares a store with a map, through random calls.
func isMap(t *testing.T, open Open) {
	s, ctx := open(t), t.Context()
	rapid.Check(t, func(r *rapid.T) {
		for _, key := range Keys(t, s, "", false) {
			if err := s.Delete(ctx, key); err != nil {
				r.Fatal(err)
			}
		}
		model := map[string]string{}
		for range rapid.IntRange(1, 8).Draw(r, "steps") {
			step(r, s, model)
		}
		if got, want := Keys(t, s, "", false), slices.Sorted(maps.Keys(model)); !slices.Equal(got, want) {
			r.Fatalf("keys = %q, want %q", got, want)
		}
		for k, v := range model {
			if data, err := s.Get(ctx, k); string(data) != v || err != nil {
				r.Fatalf("Get(%s) = %q, %v, want %q", k, data, err, v)
			}
		}
	})
}

// step does one thing to a store and to the map that it is compared with.
func step(r *rapid.T, s blob.Replacer, model map[string]string) {
	k, v := rapid.StringMatching(`[a-c]/[a-c]|[d-f]`).Draw(r, "key"), rapid.StringMatching(`[xy]{0,2}`).Draw(r, "value")
	switch rapid.IntRange(0, 2).Draw(r, "op") {
	case 0:
		old, ok := model[k]
		err := s.PutIfAbsent(r.Context(), k, []byte(v))
		if want := ok && old != v; errors.Is(err, blob.ErrExists) != want || !want && err != nil {
			r.Fatalf("PutIfAbsent(%s, %q) over %q, %v: %v", k, v, old, ok, err)
		}
		if !ok {
			model[k] = v
		}
	case 1:
		if err := s.Put(r.Context(), k, []byte(v)); err != nil {
			r.Fatal(err)
		}
		model[k] = v
	case 2:
		if err := s.Delete(r.Context(), k); err != nil {
			r.Fatal(err)
		}
		delete(model, k)
	}
}
