package result

import (
	"context"
	"fmt"
)

// Unfinished returns the ids of the runs without a head that have samples in the store and no result, newest
// first. Of a repository that is read without a coordinator these are the runs that one is conducting now, or
// was when it was killed: List does not know them.
func (r *Repository) Unfinished(ctx context.Context) ([]string, error) {
	all, err := r.known(ctx)
	if err != nil {
		return nil, fmt.Errorf("list unfinished runs: %w", err)
	}
	var ids []string
	for _, l := range all {
		if l.head != nil {
			continue
		}
		unfinished, err := r.unfinished(ctx, l.id)
		if err != nil {
			return nil, fmt.Errorf("list unfinished runs: %w", err)
		}
		if unfinished {
			ids = append(ids, l.id)
		}
	}
	return ids, nil
}

func (r *Repository) unfinished(ctx context.Context, id string) (bool, error) {
	samples := false
	for info, err := range r.blobs.List(ctx, resultDir(id), false) {
		if err != nil {
			return false, err
		}
		if info.Key == resultKey(id) {
			return false, nil
		}
		samples = true
	}
	return samples, nil
}
