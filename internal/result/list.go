package result

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"proofload/internal/result/blob"
	"proofload/internal/run"
)

// DefaultLimit is how many runs a listing returns when the query does not say.
const DefaultLimit = 50

// Query selects runs. Its zero value selects the newest ones.
type Query struct {
	Name        string            // of the scenario; empty: any
	Environment string            // empty: any
	Labels      map[string]string // all must match
	States      []run.State       // empty: any
	Results     []run.Result      // of the verdict; empty: any
	Limit       int               // 0: DefaultLimit
	Token       string            // Next of the page before
}

// Page is a part of a listing.
type Page struct {
	Runs []run.Run
	Next string // token of the next page; empty: this was the last
}

// match tells whether q selects r.
func (q Query) match(r run.Run) bool {
	for name, value := range q.Labels {
		if got, ok := r.Labels[name]; !ok || got != value {
			return false
		}
	}
	if len(q.Results) > 0 && (r.Verdict == nil || !slices.Contains(q.Results, r.Verdict.Result)) {
		return false
	}
	return (q.Name == "" || q.Name == r.Name) &&
		(q.Environment == "" || q.Environment == r.Environment) &&
		(len(q.States) == 0 || slices.Contains(q.States, r.State))
}

// listed is a run to be looked at: with its head, or without one if only the blobs know it.
type listed struct {
	id   string
	head *Head
}

// unreadable stands in a listing for a run of which only the id is known.
func unreadable(id string, err error) run.Run {
	return run.Run{ID: id, Reason: "its record cannot be read: " + err.Error()}
}

// List returns the runs that match, newest first: ids are ULIDs, which begin with their time.
func (r *Repository) List(ctx context.Context, q Query) (Page, error) {
	all, err := r.known(ctx)
	if err != nil {
		return Page{}, fmt.Errorf("list runs: %w", err)
	}
	limit := cmp.Or(q.Limit, DefaultLimit)
	var page Page
	for _, l := range all {
		if q.Token != "" && l.id >= q.Token {
			continue
		}
		rec, shown, err := r.look(ctx, l)
		if err != nil {
			return Page{}, fmt.Errorf("list runs: %w", err)
		}
		if !shown || !q.match(rec) {
			continue
		}
		if len(page.Runs) == limit {
			page.Next = page.Runs[limit-1].ID
			break
		}
		page.Runs = append(page.Runs, rec)
	}
	return page, nil
}

// look returns what a listing shows of a run. One that is damaged is shown as such, and hides no other.
func (r *Repository) look(ctx context.Context, l listed) (rec run.Run, shown bool, err error) {
	if l.head != nil && l.head.Roster != "" { // a run that has not ended: there are few
		head, err := r.Load(ctx, l.id)
		switch {
		case errors.Is(err, ErrNotFound):
			return run.Run{}, false, nil
		case errors.As(err, new(headError)):
			return unreadable(l.id, err), true, nil
		}
		return head.Run, true, err
	}
	if l.head != nil {
		return l.head.Run, !l.head.Deleting, nil
	}
	head, err := r.archived(ctx, l.id)
	switch {
	case errors.Is(err, ErrNotFound):
		return run.Run{}, false, nil // blobs of a run that was never finalised here, or is just being deleted
	case errors.Is(err, errArchive):
		return unreadable(l.id, err), true, nil
	}
	return head.Run, true, err
}

// Open returns the heads of the runs about which something is left to do, oldest first, whatever state
// they are in: what a new leader has to carry on, to close or to finish. Heads that cannot be read are
// in damaged; they keep none of the others from being found.
func (r *Repository) Open(ctx context.Context) (heads []Head, damaged []error, err error) {
	records, err := recordsBelow(ctx, r.heads, openPrefix)
	if err != nil {
		return nil, nil, fmt.Errorf("list open runs: %w", err)
	}
	for _, record := range records {
		head, _, err := readHead(ctx, r.heads, strings.TrimPrefix(record.Key, openPrefix))
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil && !errors.As(err, new(headError)) {
			return nil, nil, fmt.Errorf("list open runs: %w", err)
		}
		if err != nil {
			damaged = append(damaged, err)
			continue
		}
		heads = append(heads, head)
	}
	return heads, damaged, nil
}

// Settle notes that nothing is left to do about a final run: no leader will look at it again.
func (r *Repository) Settle(ctx context.Context, term Heads, id string) error {
	if _, err := term.Commit(ctx, []Write{{Key: openKey(id), IfRevision: AnyRevision, Delete: true}}); err != nil {
		return fmt.Errorf("settle run %s: %w", id, err)
	}
	return nil
}

// Repair finishes what a leader that died had begun on a final run: copies to the fixed names, or its
// deletion.
func (r *Repository) Repair(ctx context.Context, term Heads, head Head) error {
	if head.Deleting {
		return r.Delete(ctx, term, head.Run.ID)
	}
	if _, err := r.archived(ctx, head.Run.ID); err == nil {
		return nil
	}
	return r.Publish(ctx, head.Run.ID)
}

// known returns all runs of heads and blobs, newest first.
func (r *Repository) known(ctx context.Context) ([]listed, error) {
	all, err := r.recorded(ctx)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, l := range all {
		seen[l.id] = true
	}
	for info, err := range r.blobs.List(ctx, "results/", true) {
		if err != nil {
			return nil, err
		}
		if id := path.Base(info.Key); info.Dir && !seen[id] {
			all = append(all, listed{id: id})
		}
	}
	slices.SortFunc(all, func(a, b listed) int { return strings.Compare(b.id, a.id) })
	return all, nil
}

// recorded returns all runs that have a head, oldest first.
func (r *Repository) recorded(ctx context.Context) ([]listed, error) {
	if r.heads == nil {
		return nil, nil
	}
	records, err := recordsBelow(ctx, r.heads, runPrefix)
	if err != nil {
		return nil, err
	}
	var all []listed
	for _, record := range records {
		id, ok := strings.CutSuffix(strings.TrimPrefix(record.Key, runPrefix), "/head")
		if !ok {
			continue
		}
		head, err := decodeHead(record.Key, record.Value)
		if err != nil {
			head.Run = unreadable(id, err)
		}
		all = append(all, listed{id, &head})
	}
	return all, nil
}

// Delete removes a final run with everything that it has stored, except scenario and data files,
// which other runs may share. It marks the run first, so that a deletion which is interrupted hides
// the run at once and is finished by Repair. Offline, term is nil.
func (r *Repository) Delete(ctx context.Context, term Heads, id string) error {
	if err := checkID(id); err != nil {
		return fmt.Errorf("delete: %w: %w", ErrNotFound, err)
	}
	if term == nil {
		if _, err := r.archived(ctx, id); err != nil {
			return err
		}
		return r.deleteBlobs(ctx, id)
	}
	record, err := term.Get(ctx, HeadKey(id))
	if errors.Is(err, ErrNotFound) {
		return r.Delete(ctx, nil, id) // known from its blobs only
	}
	if err != nil {
		return fmt.Errorf("delete run %s: %w", id, err)
	}
	head, err := decodeHead(record.Key, record.Value)
	if err != nil {
		return err
	}
	if !head.final() {
		return fmt.Errorf("delete run %s: %w", id, ErrActive)
	}
	if !head.Deleting {
		if record.Revision, err = r.markDeleting(ctx, term, record, head); err != nil {
			return fmt.Errorf("delete run %s: %w", id, err)
		}
	}
	if err := r.deleteBlobs(ctx, id); err != nil {
		return err
	}
	writes := []Write{{Key: record.Key, IfRevision: record.Revision, Delete: true}, {Key: openKey(id), IfRevision: AnyRevision, Delete: true}}
	if head.Run.RequestID != "" {
		writes = append(writes, Write{Key: requestKey(head.Run.RequestID), IfRevision: AnyRevision, Delete: true})
	}
	if _, err := term.Commit(ctx, writes); err != nil {
		return fmt.Errorf("delete run %s: %w", id, err)
	}
	return nil
}

// markDeleting records that a deletion has begun and returns the revision of the mark.
func (r *Repository) markDeleting(ctx context.Context, term Heads, record Record, head Head) (int64, error) {
	head.Deleting, head.Epoch = true, term.Epoch()
	value, err := json.Marshal(head)
	if err != nil {
		return 0, err
	}
	return term.Commit(ctx, []Write{
		{Key: record.Key, Value: value, IfRevision: record.Revision}, {Key: openKey(head.Run.ID), IfRevision: AnyRevision},
	})
}

// deleteBlobs removes all objects of a run, result.json first: without it the run is not listed.
func (r *Repository) deleteBlobs(ctx context.Context, id string) error {
	if err := r.blobs.Delete(ctx, resultKey(id)); err != nil {
		return fmt.Errorf("delete run %s: %w", id, err)
	}
	for _, dir := range []string{reportDir(id), metricDir(id), resultDir(id)} {
		keys, err := keysBelow(ctx, r.blobs, dir)
		if err != nil {
			return fmt.Errorf("delete run %s: %w", id, err)
		}
		for _, key := range keys {
			if err := r.blobs.Delete(ctx, key); err != nil {
				return fmt.Errorf("delete run %s: %w", id, err)
			}
		}
	}
	return nil
}

// keysBelow lists first and so lets the caller delete without pulling the listing's ground away.
func keysBelow(ctx context.Context, s blob.Store, prefix string) ([]string, error) {
	var keys []string
	for info, err := range s.List(ctx, prefix, false) {
		if err != nil {
			return nil, err
		}
		keys = append(keys, info.Key)
	}
	return keys, nil
}
