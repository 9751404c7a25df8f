package supervisor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"proofload/internal/result"
	"proofload/internal/result/blob"
)

// records is a linearizable store of records with terms: what etcd is to a run.
type records struct {
	mu       sync.Mutex
	revision int64
	all      map[string]result.Record
}

func newRecords() *records { return &records{revision: 1, all: map[string]result.Record{}} }

// Get implements result.Reader.
func (s *records) Get(_ context.Context, key string) (result.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.all[key]
	if !ok {
		return result.Record{}, fmt.Errorf("%s: %w", key, result.ErrNotFound)
	}
	return r, nil
}

// Page implements result.Reader.
func (s *records) Page(_ context.Context, prefix, after string, limit int) (page []result.Record, more bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(s.all)) {
		if !strings.HasPrefix(key, prefix) || key <= after {
			continue
		}
		if len(page) == limit {
			return page, true, nil
		}
		page = append(page, s.all[key])
	}
	return page, false, nil
}

// term is the result.Heads of one term of leadership.
type term struct {
	*records
	epoch   int64
	over    bool // another leads
	limit   int  // of a value in bytes; 0: none
	trouble trouble
	slow    time.Duration // how long a write takes
}

// Epoch implements result.Heads.
func (t *term) Epoch() int64 { return t.epoch }

// Commit implements result.Heads.
func (t *term) Commit(_ context.Context, writes []result.Write) (int64, error) {
	t.mu.Lock()
	slow := t.slow
	t.mu.Unlock()
	time.Sleep(slow)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return 0, result.ErrFenced
	}
	if t.trouble.refuses(writes) {
		return 0, result.ErrRefused
	}
	for _, w := range writes {
		if t.limit > 0 && len(w.Value) > t.limit {
			return 0, result.ErrTooLarge
		}
		if w.IfRevision != result.AnyRevision && t.all[w.Key].Revision != w.IfRevision {
			return 0, result.ErrConflict
		}
	}
	t.revision++
	for _, w := range writes {
		if w.Delete {
			delete(t.all, w.Key)
			continue
		}
		t.all[w.Key] = result.Record{Key: w.Key, Value: w.Value, Revision: t.revision}
	}
	if t.trouble.losesReplies() {
		return 0, result.ErrUnknown
	}
	return t.revision, nil
}

// end makes the term over.
func (t *term) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
}

// disk is a store of blobs that can be full.
type disk struct {
	blob.Memory
	mu    sync.Mutex
	full  bool
	onPut func(key string) // called before something is put under a fixed name
	dead  error            // nothing can be read
	stuck error            // nothing can be put under a fixed name
	onGet func(key string) // called before something is read
	deny  string           // no object whose key holds this can be stored; empty: all can
	away  bool             // every call takes a while and then says that nothing answers
}

func (d *disk) beforeGet(fn func(key string)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.onGet = fn
}

func (d *disk) denied(part string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deny = part
}

func (d *disk) before(fn func(key string)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.onPut = fn
}

func (d *disk) failPut(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stuck = err
}

func (d *disk) unreadable(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = err
}

// Get implements blob.Store.
func (d *disk) Get(ctx context.Context, key string) ([]byte, error) {
	if err := d.answer(ctx); err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	d.mu.Lock()
	err, before := d.dead, d.onGet
	d.mu.Unlock()
	if before != nil {
		before(key)
	}
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	return d.Memory.Get(ctx, key)
}

func (d *disk) fill(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

// lose has the store give no answer any more, or answer again.
func (d *disk) lose(away bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.away = away
}

// answer waits as long as a store that is away has its callers wait.
func (d *disk) answer(ctx context.Context) error {
	d.mu.Lock()
	away := d.away
	d.mu.Unlock()
	if !away {
		return nil
	}
	select {
	case <-time.After(2 * time.Second):
		return blob.ErrUnreachable
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *disk) err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full {
		return errors.Join(blob.ErrNoSpace)
	}
	return nil
}

// PutIfAbsent implements blob.Store.
func (d *disk) PutIfAbsent(ctx context.Context, key string, data []byte) error {
	if err := d.answer(ctx); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	d.mu.Lock()
	denied := d.deny != "" && strings.Contains(key, d.deny)
	d.mu.Unlock()
	if err := d.err(); err != nil || denied {
		return fmt.Errorf("put %s: %w", key, cmp.Or(err, blob.ErrNoSpace))
	}
	return d.Memory.PutIfAbsent(ctx, key, data)
}

// Put implements blob.Replacer.
func (d *disk) Put(ctx context.Context, key string, data []byte) error {
	if err := d.answer(ctx); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	if err := d.err(); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	d.mu.Lock()
	before, stuck := d.onPut, d.stuck
	d.mu.Unlock()
	if stuck != nil {
		return fmt.Errorf("put %s: %w", key, stuck)
	}
	if before != nil {
		before(key)
	}
	return d.Memory.Put(ctx, key, data)
}
