package lease

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Entry is one key as read.
type Entry struct {
	Key      string
	Value    []byte
	Revision int64 // of the last change; what a Write is compared with
	Created  int64 // revision at which the key was created
}

// Store reads keys. All reads are linearizable: they show every write that was acknowledged before
// they began, by whichever coordinator. A Store is safe for concurrent use and needs no term.
type Store struct {
	client  *clientv3.Client
	members *members
}

// NewStore returns a Store on client, which stays the caller's.
func NewStore(client *clientv3.Client) *Store {
	return &Store{client: client, members: &members{names: map[string]string{}}}
}

// Get returns the entry of key, or ErrNotFound.
func (s *Store) Get(ctx context.Context, key string) (Entry, error) {
	resp, err := s.client.Get(ctx, key)
	if err != nil {
		return Entry{}, readError("read", key, err)
	}
	if len(resp.Kvs) == 0 {
		return Entry{}, fmt.Errorf("read %s: %w", key, ErrNotFound)
	}
	return entryOf(resp.Kvs[0]), nil
}

// Page returns up to limit entries below prefix in the order of their keys, beginning behind the
// key after (empty: with the first), and whether there are more.
func (s *Store) Page(ctx context.Context, prefix, after string, limit int) ([]Entry, bool, error) {
	from := prefix
	if after >= prefix {
		from = after + "\x00"
	}
	resp, err := s.client.Get(ctx, from,
		clientv3.WithRange(clientv3.GetPrefixRangeEnd(prefix)), clientv3.WithLimit(int64(limit)))
	if err != nil {
		return nil, false, readError("list", prefix, err)
	}
	entries := make([]Entry, len(resp.Kvs))
	for i, kv := range resp.Kvs {
		entries[i] = entryOf(kv)
	}
	return entries, resp.More, nil
}

// ClusterID returns the identity of the etcd cluster. Epochs and incarnations are comparable only
// within one.
func (s *Store) ClusterID(ctx context.Context) (uint64, error) {
	resp, err := s.client.Get(ctx, electionPrefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return 0, readError("read", "cluster id", err)
	}
	return resp.Header.ClusterId, nil
}
