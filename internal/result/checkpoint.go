package result

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"proofload/internal/result/blob"
	"proofload/internal/run"
)

// Checkpoint stores the aggregates of everything committed so far, names them in the head, and
// moves the references of the segments that they cover into a manifest. Errors as for Commit; a
// repetition must describe the same state.
func (c *Committer) Checkpoint(ctx context.Context, aggregates []byte) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	if c.head.final() {
		return fmt.Errorf("checkpoint run %s: %w", c.id, ErrClosed)
	}
	through, old := c.head.Next-1, c.head.Checkpoint
	ref := blob.RefOf(checkpointDir(c.id)+objectName(through, c.heads.Epoch(), blob.Digest(aggregates)), aggregates)
	if old != nil && old.Through == through && old.Blob.SHA256 == ref.SHA256 && c.head.Oldest == c.head.Next {
		return nil // the reply was lost, the commit was not
	}
	if err := c.put(ctx, ref, aggregates); err != nil {
		return err
	}
	h := c.head
	h.Checkpoint = &Checkpoint{Through: through, Blob: ref}
	deletes, err := c.fold(ctx, &h)
	if err != nil {
		return err
	}
	next, err := c.attempt(h, deletes)
	if err != nil {
		return err
	}
	if err := c.transact(ctx, next); err != nil {
		return err
	}
	c.retire(ctx, old)
	return nil
}

// retire deletes checkpoints that are two generations old. The one just replaced stays for a reader
// that is on its way to it. What cannot be deleted now is tried again the next time, and swept by
// the next leader.
func (c *Committer) retire(ctx context.Context, replaced *Checkpoint) {
	if replaced == nil || replaced.Blob.Key == c.head.Checkpoint.Blob.Key {
		return
	}
	c.garbage = slices.DeleteFunc(c.garbage, func(key string) bool {
		return key == c.head.Checkpoint.Blob.Key || c.blobs.Delete(ctx, key) == nil
	})
	c.garbage = append(c.garbage, replaced.Blob.Key)
}

// Sweep deletes what deposed leaders have stored and no head names, and returns how many objects
// that were. It touches only objects of epochs below its own, whose leaders can commit no more.
func (c *Committer) Sweep(ctx context.Context) (int, error) {
	if err := c.begin(ctx); err != nil {
		return 0, err
	}
	named, err := c.named(ctx)
	if err != nil {
		return 0, fmt.Errorf("sweep run %s: %w", c.id, err)
	}
	count := 0
	for _, dir := range []string{segmentDir(c.id), checkpointDir(c.id), manifestDir(c.id), finalDir(c.id)} {
		for info, err := range c.blobs.List(ctx, dir, false) {
			if err != nil {
				return count, fmt.Errorf("sweep run %s: %w", c.id, err)
			}
			epoch, ok := epochOf(info.Key)
			if !ok || epoch >= c.heads.Epoch() || named[info.Key] {
				continue
			}
			if err := c.blobs.Delete(ctx, info.Key); err != nil {
				return count, fmt.Errorf("sweep run %s: %w", c.id, err)
			}
			count++
		}
	}
	return count, nil
}

// named returns the keys of all objects that count.
func (c *Committer) named(ctx context.Context) (map[string]bool, error) {
	chain, err := readChain(ctx, c.blobs, c.head.Manifest, 0)
	if err != nil {
		return nil, err
	}
	recorded, err := recordedRefs(ctx, c.heads, c.id)
	if err != nil {
		return nil, err
	}
	if err := contiguous(recorded, c.head.Oldest, c.head.Next); err != nil {
		return nil, err
	}
	named := map[string]bool{}
	for _, ref := range slices.Concat(chain.segments, recorded) {
		named[ref.Blob.Key] = true
	}
	for _, ref := range chain.manifests {
		named[ref.Key] = true
	}
	if c.head.Checkpoint != nil {
		named[c.head.Checkpoint.Blob.Key] = true
	}
	for _, file := range c.head.Files {
		named[file.Blob.Key] = true
	}
	return named, nil
}

// Final is the end of a run.
type Final struct {
	Run     run.Run           // in a final state
	Facts   Facts             // as for Update
	Reports map[string][]byte // by format: json, md, html, xml
}

// Finalise closes the run: it stores the reports under names of this epoch and commits the final
// state together with their digests. After it the run takes nothing more. The copies under the
// fixed names are made by Repository.Publish. Errors as for Commit; a repetition after a commit
// that took effect is a success.
func (c *Committer) Finalise(ctx context.Context, f Final) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	if !f.Run.State.Final() {
		return fmt.Errorf("finalise run %s: its state %s is not final", c.id, f.Run.State)
	}
	files, err := c.store(ctx, f.Reports)
	if err != nil {
		return err
	}
	h := c.head
	h.Run, h.Facts, h.Files = f.Run, f.Facts, files
	if sameHead(h, c.head) {
		return nil
	}
	if c.head.final() {
		return fmt.Errorf("finalise run %s: %w", c.id, ErrClosed)
	}
	for c.head.Next-c.head.Oldest > maxFold {
		if err := c.foldOnly(ctx); err != nil {
			return err
		}
	}
	h.Manifest, h.Oldest = c.head.Manifest, c.head.Oldest
	deletes, err := c.fold(ctx, &h)
	if err != nil {
		return err
	}
	next, err := c.attempt(h, deletes)
	if err != nil {
		return err
	}
	return c.transact(ctx, next)
}

// store puts the reports under their epoch's names.
func (c *Committer) store(ctx context.Context, reports map[string][]byte) ([]File, error) {
	var files []File
	for _, format := range slices.Sorted(maps.Keys(reports)) {
		data := reports[format]
		name := objectName(c.head.Next, c.heads.Epoch(), blob.Digest(data)) + "-report." + format
		file := File{Name: ReportKey(c.id, format), Blob: blob.RefOf(finalDir(c.id)+name, data)}
		if err := c.put(ctx, file.Blob, data); err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// foldOnly moves one batch of references into a manifest in a transaction of its own.
func (c *Committer) foldOnly(ctx context.Context) error {
	h := c.head
	deletes, err := c.fold(ctx, &h)
	if err != nil {
		return err
	}
	next, err := c.attempt(h, deletes)
	if err != nil {
		return err
	}
	return c.transact(ctx, next)
}
