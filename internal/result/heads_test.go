package result

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"proofload/internal/metric"
	"proofload/internal/result/blob"
	"proofload/internal/run"
)

var (
	errNetwork  = errors.New("network is down")
	errStore    = errors.New("store is down")
	testCreated = time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
)

// cluster is a linearizable store with terms: what etcd is to this package.
type cluster struct {
	mu       sync.Mutex
	revision int64
	leader   int64 // epoch whose writes count
	records  map[string]Record
	unfenced bool // whoever writes is taken for the leader: a rule broken on purpose
	blind    bool // revisions are not compared: another one
}

func newCluster() *cluster { return &cluster{revision: 1, records: map[string]Record{}} }

// elect begins a term.
func (c *cluster) elect() *term {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revision++
	c.leader = c.revision
	return &term{cluster: c, epoch: c.revision}
}

func (c *cluster) Get(_ context.Context, key string) (Record, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.records[key]
	if !ok {
		return Record{}, fmt.Errorf("%s: %w", key, ErrNotFound)
	}
	return r, nil
}

func (c *cluster) Page(_ context.Context, prefix, after string, limit int) ([]Record, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var page []Record
	for _, key := range slices.Sorted(maps.Keys(c.records)) {
		if !strings.HasPrefix(key, prefix) || key <= after {
			continue
		}
		if len(page) == min(limit, 3) { // small pages, so that paging is used
			return page, true, nil
		}
		page = append(page, c.records[key])
	}
	return page, false, nil
}

// apply is the transaction.
func (c *cluster) apply(epoch int64, writes []Write) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(writes) > maxWrites {
		return 0, ErrRefused
	}
	if c.leader != epoch && !c.unfenced {
		return 0, ErrFenced
	}
	for _, w := range writes {
		if !c.blind && w.IfRevision != AnyRevision && c.records[w.Key].Revision != w.IfRevision {
			return 0, ErrConflict
		}
	}
	c.revision++
	for _, w := range writes {
		if w.Delete {
			delete(c.records, w.Key)
		} else {
			c.records[w.Key] = Record{Key: w.Key, Value: w.Value, Revision: c.revision}
		}
	}
	return c.revision, nil
}

// term is the Heads of one epoch. The hooks, when set, decide the fate of the next calls.
type term struct {
	*cluster
	epoch  int64
	commit func(apply func() (int64, error)) (int64, error)
	get    func() error
}

func (t *term) Epoch() int64 { return t.epoch }

func (t *term) Get(ctx context.Context, key string) (Record, error) {
	if t.get != nil {
		if err := t.get(); err != nil {
			return Record{}, err
		}
	}
	return t.cluster.Get(ctx, key)
}

func (t *term) Commit(_ context.Context, writes []Write) (int64, error) {
	apply := func() (int64, error) { return t.apply(t.epoch, writes) }
	if t.commit != nil {
		return t.commit(apply)
	}
	return apply()
}

// failingBlobs fails puts while down says so.
type failingBlobs struct {
	*blob.Memory
	down func() bool
}

func (f *failingBlobs) PutIfAbsent(ctx context.Context, key string, data []byte) error {
	if f.down != nil && f.down() {
		return errStore
	}
	return f.Memory.PutIfAbsent(ctx, key, data)
}

func newRun(id string) run.Run {
	return run.Run{ID: id, Name: "shop", State: run.Running, CreatedAt: testCreated, Factor: 1}
}

func finished(r run.Run) run.Run {
	r.State = run.Completed
	r.Verdict = &run.Verdict{Result: run.Pass}
	return r
}

// created returns a repository with one run, and the run's committer.
func created(t *testing.T, term *term, blobs blob.Replacer, id string) (*Repository, *Committer) {
	t.Helper()
	repo := NewRepository(term.cluster, blobs)
	if _, fresh, err := repo.Create(t.Context(), term, newRun(id)); err != nil || !fresh {
		t.Fatalf("Create: %v, %v", fresh, err)
	}
	return repo, reopen(t, term, blobs, id)
}

func reopen(t *testing.T, term *term, blobs blob.Store, id string) *Committer {
	t.Helper()
	c, err := OpenCommitter(t.Context(), term, blobs, id)
	if err != nil {
		t.Fatalf("OpenCommitter: %v", err)
	}
	return c
}

// sealed is a segment whose data and mark both say n.
func sealed(n uint64) *Sealed {
	return &Sealed{
		Data:  fmt.Appendf(nil, "segment %d", n),
		Marks: MarksOf(map[metric.Source]uint64{{Worker: "w", Incarnation: 1}: n}),
		From:  int64(n), To: int64(n) + 1,
	}
}

func mustCommit(t *testing.T, c *Committer, u Update) {
	t.Helper()
	if u.Run.ID == "" {
		u.Run, u.Facts = c.Head().Run, c.Head().Facts
	}
	if err := c.Commit(t.Context(), u); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

// texts reads all segments of a run.
func texts(t *testing.T, repo *Repository, id string, after uint64) []string {
	t.Helper()
	var got []string
	for s, err := range repo.Segments(t.Context(), id, after) {
		if err != nil {
			t.Fatalf("Segments: %v", err)
		}
		got = append(got, string(s.Data))
	}
	return got
}
