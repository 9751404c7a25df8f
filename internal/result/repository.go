package result

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"proofload/internal/result/blob"
	"proofload/internal/run"
)

// resultSchema names the format of result.json.
const resultSchema = "proofload.result/v1"

// errArchive says that result.json is damaged, or of another version.
var errArchive = errors.New("its archive cannot be read")

// archive is result.json: the final head, so that a run can be read without etcd.
type archive struct {
	Schema string `json:"schema"`
	Head   Head   `json:"head"`
}

// Repository is the collection of runs. It is safe for concurrent use. Without a Reader it is
// offline: it knows the runs that were finalised and nothing of others.
type Repository struct {
	heads Reader
	blobs blob.Replacer
}

// NewRepository returns the repository over heads and blobs; heads may be nil.
func NewRepository(heads Reader, blobs blob.Replacer) *Repository {
	return &Repository{heads: heads, blobs: blobs}
}

// Create records a new run in the leader's term and returns it. If a run was created before by the
// same request id it returns that one, and false. When the outcome is unknown, Create can be called
// again with the same run.
func (r *Repository) Create(ctx context.Context, term Heads, rec run.Run) (run.Run, bool, error) {
	if err := checkID(rec.ID); err != nil {
		return run.Run{}, false, err
	}
	head := Head{
		Version: headVersion, Epoch: term.Epoch(), Write: "create", Run: rec,
		Next: 1, Oldest: 1, Facts: Facts{JudgedThrough: -1},
	}
	value, err := json.Marshal(head)
	if err != nil {
		return run.Run{}, false, fmt.Errorf("create run %s: %w", rec.ID, err)
	}
	writes := []Write{{Key: HeadKey(rec.ID), Value: value}, {Key: openKey(rec.ID), IfRevision: AnyRevision}}
	if rec.RequestID != "" {
		writes = append(writes, Write{Key: requestKey(rec.RequestID), Value: []byte(rec.ID)})
	}
	_, err = term.Commit(ctx, writes)
	if err == nil {
		return rec, true, nil
	}
	if errors.Is(err, ErrFenced) || errors.Is(err, ErrRefused) {
		return run.Run{}, false, fmt.Errorf("create run %s: %w", rec.ID, err)
	}
	existing, found, readErr := r.created(ctx, term, rec)
	if readErr != nil || !found {
		return run.Run{}, false, errors.Join(fmt.Errorf("create run %s: %w", rec.ID, err), readErr)
	}
	return existing, existing.ID == rec.ID && !errors.Is(err, ErrConflict), nil
}

// created looks for the run that rec's request id, or else its id, has created.
func (r *Repository) created(ctx context.Context, term Reader, rec run.Run) (run.Run, bool, error) {
	id := rec.ID
	if rec.RequestID != "" {
		record, err := term.Get(ctx, requestKey(rec.RequestID))
		if errors.Is(err, ErrNotFound) {
			return run.Run{}, false, nil
		}
		if err != nil {
			return run.Run{}, false, err
		}
		id = string(record.Value)
	}
	record, err := term.Get(ctx, HeadKey(id))
	if errors.Is(err, ErrNotFound) {
		return run.Run{}, false, nil
	}
	if err != nil {
		return run.Run{}, false, err
	}
	head, err := decodeHead(record.Key, record.Value)
	if err != nil {
		return run.Run{}, false, err
	}
	// Without a request id nothing says that a run of the same id is the same creation.
	return head.Run, rec.RequestID != "" || head.Run.CreatedAt.Equal(rec.CreatedAt), nil
}

// Requested returns the id of the run that a request has created, or ErrNotFound.
func (r *Repository) Requested(ctx context.Context, request string) (string, error) {
	if r.heads == nil || request == "" {
		return "", fmt.Errorf("request %q: %w", request, ErrNotFound)
	}
	record, err := r.heads.Get(ctx, requestKey(request))
	if err != nil {
		return "", fmt.Errorf("request %q: %w", request, err)
	}
	return string(record.Value), nil
}

// checkID makes sure that an id can be part of keys.
func checkID(id string) error {
	if strings.Contains(id, "/") || blob.CheckKey(id) != nil {
		return fmt.Errorf("run id %q: %w", id, blob.ErrKey)
	}
	return nil
}

// Load returns what is committed of a run, or ErrNotFound.
func (r *Repository) Load(ctx context.Context, id string) (Head, error) {
	if err := checkID(id); err != nil {
		return Head{}, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	if r.heads != nil {
		head, _, err := readHead(ctx, r.heads, id)
		if err == nil {
			if head.Deleting {
				err = fmt.Errorf("run %s: %w: it is being deleted", id, ErrNotFound)
			}
			return head, err
		}
		if !errors.Is(err, ErrNotFound) {
			return Head{}, fmt.Errorf("load run %s: %w", id, err)
		}
	}
	return r.archived(ctx, id)
}

// archived reads result.json.
func (r *Repository) archived(ctx context.Context, id string) (Head, error) {
	data, err := r.blobs.Get(ctx, resultKey(id))
	if errors.Is(err, blob.ErrNotFound) {
		return Head{}, fmt.Errorf("run %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return Head{}, fmt.Errorf("load run %s: %w", id, err)
	}
	var a archive
	if err := json.Unmarshal(data, &a); err != nil {
		return Head{}, fmt.Errorf("load run %s: %w: read %s: %w", id, errArchive, resultKey(id), err)
	}
	if a.Schema != resultSchema || a.Head.Version != headVersion {
		return Head{}, fmt.Errorf("load run %s: %w: %s is of schema %q, format %d, which this version does not know", id, errArchive, resultKey(id), a.Schema, a.Head.Version)
	}
	return a.Head, nil
}

// Publish copies the documents of a final run to their fixed names, result.json last. It can be
// repeated at any time and by any coordinator: it copies what the head names.
func (r *Repository) Publish(ctx context.Context, id string) error {
	head, err := r.Load(ctx, id)
	if err != nil {
		return err
	}
	if !head.final() {
		return fmt.Errorf("publish run %s: %w", id, ErrActive)
	}
	for _, file := range head.Files {
		data, err := blob.Load(ctx, r.blobs, file.Blob)
		if err != nil {
			return fmt.Errorf("publish run %s: %w", id, err)
		}
		if err := r.blobs.Put(ctx, file.Name, data); err != nil {
			return fmt.Errorf("publish run %s: %w", id, err)
		}
	}
	data, err := json.MarshalIndent(archive{Schema: resultSchema, Head: head}, "", "  ")
	if err != nil {
		return fmt.Errorf("publish run %s: %w", id, err)
	}
	if err := r.blobs.Put(ctx, resultKey(id), append(data, '\n')); err != nil {
		return fmt.Errorf("publish run %s: %w", id, err)
	}
	return nil
}

// Report returns a report of a final run by its format: json, md, html or xml.
func (r *Repository) Report(ctx context.Context, id, format string) ([]byte, error) {
	head, err := r.Load(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, file := range head.Files {
		if file.Name == ReportKey(id, format) {
			return blob.Load(ctx, r.blobs, file.Blob)
		}
	}
	return nil, fmt.Errorf("report %s of run %s: %w", format, id, ErrNotFound)
}

// Segment is one committed segment with its bytes, whose digest was verified.
type Segment struct {
	SegmentRef
	Data []byte
}

// Segments yields the committed segments of a run with numbers above after, in order. After an
// error it ends.
func (r *Repository) Segments(ctx context.Context, id string, after uint64) iter.Seq2[Segment, error] {
	return r.segments(ctx, id, func() ([]SegmentRef, error) { return r.refs(ctx, id, after) })
}

// SegmentsByStart yields all committed segments of a run in the order of the first second that each
// touches, so that a second is whole once one begins behind it. After an error it ends.
func (r *Repository) SegmentsByStart(ctx context.Context, id string) iter.Seq2[Segment, error] {
	return r.segments(ctx, id, func() ([]SegmentRef, error) {
		refs, err := r.refs(ctx, id, 0)
		slices.SortStableFunc(refs, func(a, b SegmentRef) int { return cmp.Compare(a.From, b.From) })
		return refs, err
	})
}

func (r *Repository) segments(ctx context.Context, id string, list func() ([]SegmentRef, error)) iter.Seq2[Segment, error] {
	return func(yield func(Segment, error) bool) {
		refs, err := list()
		if err != nil {
			yield(Segment{}, err)
			return
		}
		for segment, err := range inOrder(ctx, refs, func(ctx context.Context, ref SegmentRef) (Segment, error) {
			data, err := blob.Load(ctx, r.blobs, ref.Blob)
			if err != nil {
				return Segment{}, fmt.Errorf("read segment %d of run %s: %w", ref.Number, id, err)
			}
			return Segment{ref, data}, nil
		}) {
			if !yield(segment, err) || err != nil {
				return
			}
		}
	}
}

// refs returns the references of the segments above after. The head and the records are read one
// after the other; when a checkpoint came between, it reads them again.
func (r *Repository) refs(ctx context.Context, id string, after uint64) ([]SegmentRef, error) {
	for try := 0; ; try++ {
		head, err := r.Load(ctx, id)
		if err != nil {
			return nil, err
		}
		var recorded []SegmentRef
		if head.Oldest < head.Next && r.heads != nil {
			if recorded, err = recordedRefs(ctx, r.heads, id); err != nil {
				return nil, err
			}
		}
		recorded = slices.DeleteFunc(recorded, func(s SegmentRef) bool { return s.Number >= head.Next })
		if err := contiguous(recorded, head.Oldest, head.Next); err != nil {
			if try < 3 {
				continue
			}
			return nil, fmt.Errorf("read segments of run %s: %w", id, err)
		}
		chain, err := readChain(ctx, r.blobs, head.Manifest, after)
		if err != nil {
			return nil, fmt.Errorf("read segments of run %s: %w", id, err)
		}
		refs := slices.Concat(chain.segments, recorded)
		return slices.DeleteFunc(refs, func(s SegmentRef) bool { return s.Number <= after }), nil
	}
}

// Aggregates returns what the last checkpoint of a run holds and the number of the last segment that
// is in it: nil and 0 when there is none.
func (r *Repository) Aggregates(ctx context.Context, head Head) ([]byte, uint64, error) {
	if head.Checkpoint == nil {
		return nil, 0, nil
	}
	data, err := blob.Load(ctx, r.blobs, head.Checkpoint.Blob)
	if err != nil {
		return nil, 0, fmt.Errorf("read checkpoint of run %s: %w", head.Run.ID, err)
	}
	return data, head.Checkpoint.Through, nil
}
