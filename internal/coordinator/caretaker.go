package coordinator

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"proofload/internal/api"
	"proofload/internal/supervisor"
	"proofload/internal/wire"
)

// caretaker shows what a term has left that was lost. Of its methods only those that read are called.
type caretaker struct {
	*backend
	runs  *supervisor.Caretaker
	since time.Time
}

func newCaretaker(b *backend, since time.Time) *caretaker {
	return &caretaker{backend: b, runs: b.manager.Caretake(since), since: since}
}

// shown is what the API answers from.
func (k *caretaker) shown() *api.Caretaker {
	return &api.Caretaker{Backend: &api.Backend{Conductor: k, Archive: k, Files: k.files, Cluster: k}, Since: k.since}
}

func (k *caretaker) end() { k.runs.End() }

// Watch implements api.Conductor.
func (k *caretaker) Watch(_ context.Context, id string) (api.Follower, error) {
	w, err := k.runs.Watch(id)
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", id, api.ErrEnded)
	}
	return w, nil
}

// Get implements api.Archive. What is not live can be read only if the store answers.
func (k *caretaker) Get(ctx context.Context, id string) (wire.RunView, error) {
	if v, err := k.runs.Live(id); err == nil {
		return v, nil
	}
	if active := k.runs.Active(); id == "last" && len(active) > 0 {
		return slices.MaxFunc(active, func(a, b wire.RunView) int { return cmp.Compare(a.Run.ID, b.Run.ID) }), nil
	}
	ctx, cancel := context.WithTimeout(ctx, etcdWithin)
	defer cancel()
	return k.backend.Get(ctx, id)
}

// List implements api.Archive.
func (k *caretaker) List(ctx context.Context, q api.Query) (api.Page, error) {
	ctx, cancel := context.WithTimeout(ctx, etcdWithin)
	defer cancel()
	page, err := k.backend.List(ctx, q)
	for i, v := range page.Runs {
		if live, err := k.runs.Live(v.Run.ID); err == nil {
			page.Runs[i] = live
		}
	}
	return page, err
}

// Status implements api.Cluster.
func (k *caretaker) Status(ctx context.Context) (api.Status, error) {
	s := api.Status{Active: k.runs.Active()}
	if h, ok := k.coordinator.inForce(); ok {
		s.Halted = &h
	}
	s.Coordinators, s.Problems = k.coordinator.troubles(ctx)
	s.Problems = append(s.Problems, fmt.Sprintf("coordinator %s leads no more since %s, and no other leader is known: it keeps the workers and shows what they send; nothing is committed, and their leases run out",
		k.coordinator.opts.Name, k.since.UTC().Format("15:04:05Z")))
	return s, nil
}
