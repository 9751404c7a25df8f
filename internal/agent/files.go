package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	pb "proofload/proto/proofload/v1"
)

// files fetches the files of an assignment over the session and keeps them on disk by digest, so
// that a run that comes back, or the next run with the same data, needs no second transfer.
type files struct {
	dir string
	ask func(digest string, offset int64) // posts a FileRequest

	mu      sync.Mutex
	pending map[string]*fetch
}

// fetch is one file on its way.
type fetch struct {
	data []byte
	err  error
	done chan struct{}
}

func newFiles(dir string, ask func(string, int64)) (*files, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("file cache: %w", err)
	}
	return &files{dir: dir, ask: ask, pending: map[string]*fetch{}}, nil
}

// Get returns the content with the given digest. It waits, through reconnects too, until the content
// has arrived, the coordinator says that it has none, or ctx ends.
func (f *files) Get(ctx context.Context, digest string) ([]byte, error) {
	if data, err := os.ReadFile(filepath.Join(f.dir, digest)); err == nil && digestOf(data) == digest {
		return data, nil
	}
	f.mu.Lock()
	p, ok := f.pending[digest]
	if !ok {
		p = &fetch{done: make(chan struct{})}
		f.pending[digest] = p
	}
	f.mu.Unlock()
	if !ok {
		f.ask(digest, 0)
	}
	select {
	case <-p.done:
		return p.data, p.err
	case <-ctx.Done():
		return nil, fmt.Errorf("file %s: %w", digest, context.Cause(ctx))
	}
}

// resume asks again for what had not arrived when the last session ended.
func (f *files) resume() {
	f.mu.Lock()
	wanted := make(map[string]int64, len(f.pending))
	for digest, p := range f.pending {
		wanted[digest] = int64(len(p.data))
	}
	f.mu.Unlock()
	for digest, offset := range wanted {
		f.ask(digest, offset)
	}
}

// receive takes one piece. A piece that does not continue what is there is a leftover of an earlier
// request and is passed over; content that does not have its digest is fetched again from the start.
func (f *files) receive(c *pb.FileChunk) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.pending[c.GetDigest()]
	if !ok {
		return
	}
	if c.GetError() != "" {
		f.finish(c.GetDigest(), p, fmt.Errorf("file %s: %w", c.GetDigest(), errors.New(c.GetError())))
		return
	}
	if c.GetOffset() != int64(len(p.data)) {
		return
	}
	p.data = append(p.data, c.GetData()...)
	if int64(len(p.data)) < c.GetSize() {
		return
	}
	if digestOf(p.data) != c.GetDigest() {
		f.finish(c.GetDigest(), p, fmt.Errorf("file %s: content has another digest", c.GetDigest()))
		return
	}
	f.finish(c.GetDigest(), p, f.store(c.GetDigest(), p.data))
}

func (f *files) finish(digest string, p *fetch, err error) {
	p.err = err
	delete(f.pending, digest)
	close(p.done)
}

// store keeps the content; it appears under its name whole or not at all.
func (f *files) store(digest string, data []byte) error {
	tmp, err := os.CreateTemp(f.dir, "fetch-*")
	if err != nil {
		return fmt.Errorf("file cache: %w", err)
	}
	_, err = tmp.ReadFrom(bytes.NewReader(data))
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(f.dir, digest))
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return fmt.Errorf("file cache: %w", err)
	}
	return nil
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
