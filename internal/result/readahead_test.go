package result

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestInOrder: items are loaded together and yielded in their order, whichever is loaded first; an error ends it, and
// nothing is loaded behind one who has seen enough.
func TestInOrder(t *testing.T) {
	items := make([]int, 40)
	for i := range items {
		items[i] = i
	}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var got []int
		for v, err := range inOrder(t.Context(), items, func(_ context.Context, i int) (int, error) {
			time.Sleep(time.Duration(40-i) * time.Millisecond) // the first is the last to be there
			return 10 * i, nil
		}) {
			if err != nil || v != 10*items[len(got)] {
				t.Fatalf("%d, %v after %v", v, err, got)
			}
			got = append(got, v)
		}
		if took := time.Since(began); len(got) != len(items) || took > 250*time.Millisecond { // 820 one by one
			t.Errorf("%d of %d in %v", len(got), len(items), took)
		}

		broken := errors.New("broken")
		var furthest atomic.Int64
		for v, err := range inOrder(t.Context(), items, func(ctx context.Context, i int) (int, error) {
			for last := furthest.Load(); int64(i) > last && !furthest.CompareAndSwap(last, int64(i)); last = furthest.Load() {
			}
			if i == 1 {
				return 0, broken
			}
			return i, ctx.Err()
		}) {
			switch {
			case err == nil && v == 0:
			case !errors.Is(err, broken):
				t.Errorf("%d, %v", v, err)
			}
		}
		if last := furthest.Load(); last > readAhead {
			t.Errorf("%d was begun", last)
		}

		const toCancel = time.Millisecond
		var begun, ended atomic.Int64
		began = time.Now()
		for range inOrder(t.Context(), items, func(ctx context.Context, i int) (int, error) {
			begun.Add(1)
			defer ended.Add(1)
			if i == 0 {
				return 0, nil
			}
			select {
			case <-ctx.Done():
				time.Sleep(toCancel)
			case <-time.After(time.Second):
			}
			return 0, nil
		}) {
			break
		}
		if took := time.Since(began); begun.Load() != readAhead || ended.Load() != readAhead || took != toCancel {
			t.Errorf("%d were begun and %d ended after %v, want %d, all of them, and %v", begun.Load(), ended.Load(), took, readAhead, toCancel)
		}
		for range inOrder(t.Context(), nil, func(context.Context, int) (int, error) { return 0, nil }) {
			t.Error("something is yielded of nothing")
		}
	})
}
