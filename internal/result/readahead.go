package result

import (
	"context"
	"iter"
	"sync"
)

// readAhead is how many objects are read at once: those of a store far away take tens of milliseconds each, and a
// leader that takes a run over waits for all of them.
const readAhead = 8

// inOrder yields what load makes of each item, in the order of the items, and loads those behind meanwhile. After an
// error it ends. What is being loaded then is waited for, with its context cancelled.
func inOrder[T, V any](ctx context.Context, items []T, load func(context.Context, T) (V, error)) iter.Seq2[V, error] {
	type loaded struct {
		value V
		err   error
	}
	return func(yield func(V, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var loading sync.WaitGroup
		defer loading.Wait()
		defer cancel()
		results := make([]chan loaded, len(items))
		begun := 0
		for i := range items {
			for ; begun < min(i+readAhead, len(items)); begun++ {
				item, result := items[begun], make(chan loaded, 1)
				results[begun] = result
				loading.Go(func() {
					v, err := load(ctx, item)
					result <- loaded{v, err}
				})
			}
			got := <-results[i]
			results[i] = nil // it may be large
			if !yield(got.value, got.err) || got.err != nil {
				return
			}
		}
	}
}
