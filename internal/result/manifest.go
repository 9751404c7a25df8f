package result

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"proofload/internal/result/blob"
)

// maxFold is how many segment references move into one manifest.
const maxFold = 100

// manifest holds references of committed segments that are no records any more. Manifests form a
// chain from the newest to the first, so that writing one costs the same however long a run is.
type manifest struct {
	Version  int          `json:"version"`
	Previous *blob.Ref    `json:"previous,omitempty"`
	Segments []SegmentRef `json:"segments"` // in the order of their numbers
}

// fold prepares moving the oldest references, at most maxFold, from records into a new manifest: it
// stores the manifest, notes it in h and returns the deletions that belong into h's transaction.
func (c *Committer) fold(ctx context.Context, h *Head) ([]Write, error) {
	if h.Oldest == h.Next {
		return nil, nil
	}
	refs, err := recordedRefs(ctx, c.heads, c.id)
	if err != nil {
		return nil, err
	}
	if err := contiguous(refs, h.Oldest, h.Next); err != nil {
		return nil, fmt.Errorf("fold segments of run %s: %w", c.id, err)
	}
	refs = refs[:min(len(refs), maxFold)]
	data, err := json.Marshal(manifest{Version: headVersion, Previous: h.Manifest, Segments: refs})
	if err != nil {
		return nil, fmt.Errorf("fold segments of run %s: %w", c.id, err)
	}
	last := refs[len(refs)-1].Number
	ref := blob.RefOf(manifestDir(c.id)+objectName(last, c.heads.Epoch(), blob.Digest(data)), data)
	if err := c.put(ctx, ref, data); err != nil {
		return nil, err
	}
	h.Manifest, h.Oldest = &ref, last+1
	deletes := make([]Write, len(refs))
	for i, r := range refs {
		deletes[i] = Write{Key: segmentKey(c.id, r.Number), IfRevision: AnyRevision, Delete: true}
	}
	return deletes, nil
}

// recordedRefs reads the references that are records, in the order of their numbers.
func recordedRefs(ctx context.Context, r Reader, id string) ([]SegmentRef, error) {
	records, err := recordsBelow(ctx, r, segmentPrefix+id+"/")
	if err != nil {
		return nil, fmt.Errorf("read segment references of run %s: %w", id, err)
	}
	refs := make([]SegmentRef, len(records))
	for i, record := range records {
		if err := json.Unmarshal(record.Value, &refs[i]); err != nil {
			return nil, fmt.Errorf("read segment reference %s: %w", record.Key, err)
		}
	}
	return refs, nil
}

// contiguous checks that refs are exactly the segments from oldest to before next.
func contiguous(refs []SegmentRef, oldest, next uint64) error {
	want := oldest
	for _, ref := range refs {
		if ref.Number != want {
			return fmt.Errorf("%w: segment reference %d is missing, found %d", blob.ErrCorrupt, want, ref.Number)
		}
		want++
	}
	if want != next {
		return fmt.Errorf("%w: segment references end before %d, want %d", blob.ErrCorrupt, want, next)
	}
	return nil
}

// chain is what the manifests of a run say.
type chain struct {
	manifests []blob.Ref   // newest first
	segments  []SegmentRef // in the order of their numbers
}

// readChain follows the manifests from the newest back, as far as segments after the given number
// are concerned.
func readChain(ctx context.Context, s blob.Store, newest *blob.Ref, after uint64) (chain, error) {
	var c chain
	var parts [][]SegmentRef
	for ref := newest; ref != nil; {
		data, err := blob.Load(ctx, s, *ref)
		if err != nil {
			return chain{}, fmt.Errorf("read manifest: %w", err)
		}
		var m manifest
		if err := json.Unmarshal(data, &m); err != nil {
			return chain{}, fmt.Errorf("read manifest %s: %w", ref.Key, err)
		}
		if m.Version != headVersion || len(m.Segments) == 0 {
			return chain{}, fmt.Errorf("read manifest %s: %w: version %d, %d segments", ref.Key, blob.ErrCorrupt, m.Version, len(m.Segments))
		}
		c.manifests = append(c.manifests, *ref)
		parts = append(parts, m.Segments)
		if ref = m.Previous; m.Segments[0].Number <= after+1 {
			break
		}
	}
	slices.Reverse(parts)
	c.segments = slices.Concat(parts...)
	return c, nil
}
