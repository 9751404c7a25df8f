package coordinator

import (
	"context"
	"errors"
	"fmt"

	"proofload/internal/lease"
	"proofload/internal/result"
	"proofload/internal/telemetry"
)

// reader lets the repository read etcd. The two packages are siblings and do not know each other.
type reader struct{ store *lease.Store }

// Get implements result.Reader.
func (r reader) Get(ctx context.Context, key string) (result.Record, error) {
	e, err := r.store.Get(ctx, key)
	if err != nil {
		return result.Record{}, translate(err)
	}
	return result.Record{Key: e.Key, Value: e.Value, Revision: e.Revision}, nil
}

// Page implements result.Reader.
func (r reader) Page(ctx context.Context, prefix, after string, limit int) ([]result.Record, bool, error) {
	entries, more, err := r.store.Page(ctx, prefix, after, limit)
	if err != nil {
		return nil, false, translate(err)
	}
	out := make([]result.Record, 0, len(entries))
	for _, e := range entries {
		out = append(out, result.Record{Key: e.Key, Value: e.Value, Revision: e.Revision})
	}
	return out, more, nil
}

// heads lets the repository write in a term.
type heads struct {
	reader
	term  *lease.Term
	watch *telemetry.Coordinator
}

func newHeads(term *lease.Term, watch *telemetry.Coordinator) heads {
	return heads{reader{term.Store}, term, watch}
}

// Epoch implements result.Heads.
func (h heads) Epoch() int64 { return h.term.Epoch() }

// Commit implements result.Heads.
func (h heads) Commit(ctx context.Context, writes []result.Write) (int64, error) {
	out := make([]lease.Write, 0, len(writes))
	for _, w := range writes {
		out = append(out, lease.Write{Key: w.Key, Value: w.Value, IfRevision: w.IfRevision, Delete: w.Delete})
	}
	key := ""
	if len(writes) > 0 {
		key = writes[0].Key
	}
	done := h.watch.Commit(ctx, key, len(writes))
	revision, err := h.term.Commit(ctx, out)
	done(outcomeOf(err))
	return revision, translate(err)
}

// outcomeOf names how a transaction ended, for its metric.
func outcomeOf(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, lease.ErrFenced):
		return "fenced"
	case errors.Is(err, lease.ErrConflict):
		return "conflict"
	case errors.Is(err, lease.ErrUnknown):
		return "unknown"
	}
	return "refused"
}

// translate adds the repository's sentinel to an error of the lease.
func translate(err error) error {
	for _, pair := range []struct{ from, to error }{
		{lease.ErrNotFound, result.ErrNotFound},
		{lease.ErrFenced, result.ErrFenced},
		{lease.ErrConflict, result.ErrConflict},
		{lease.ErrTooLarge, result.ErrTooLarge},
		{lease.ErrNoSpace, result.ErrRefused},
		{lease.ErrDenied, result.ErrRefused},
		{lease.ErrUnknown, result.ErrUnknown},
	} {
		if errors.Is(err, pair.from) {
			return fmt.Errorf("%w: %w", pair.to, err)
		}
	}
	return err
}
