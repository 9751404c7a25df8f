package lease

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// recheck is how long an observer trusts a silent watch before it reads again.
const recheck = 10 * time.Second

// Leader names the leading coordinator. The zero Leader is none.
type Leader struct {
	Name    string `json:"name"`
	Address string `json:"address,omitempty"` // at which it serves the API
	Epoch   int64  `json:"-"`                 // its term's
}

// Leader returns who leads now, or ErrNoLeader. The answer may be out of date when it arrives: it
// is for finding the leader, not for deciding anything.
func (s *Store) Leader(ctx context.Context) (Leader, error) {
	leader, _, err := s.leader(ctx)
	if err == nil && leader.Epoch == 0 {
		err = ErrNoLeader
	}
	return leader, err
}

// WatchLeader calls fn with the leader of the moment and then with each new one, the zero Leader
// when nobody leads, until ctx ends; that is its only error. Changes that follow each other closely
// may be seen as one.
func (s *Store) WatchLeader(ctx context.Context, fn func(Leader)) error {
	var last Leader
	for first := true; ctx.Err() == nil; {
		leader, revision, err := s.leader(ctx)
		if err != nil {
			sleep(ctx, 500*time.Millisecond)
			continue
		}
		if first || leader != last {
			fn(leader)
		}
		first, last = false, leader
		s.awaitChange(ctx, revision)
	}
	return context.Cause(ctx)
}

// awaitChange returns when anything below the election prefix changed after revision, when the
// watch broke, or after a while.
func (s *Store) awaitChange(ctx context.Context, revision int64) {
	ctx, cancel := context.WithTimeout(clientv3.WithRequireLeader(ctx), recheck)
	defer cancel()
	changes := s.client.Watch(ctx, electionPrefix, clientv3.WithPrefix(), clientv3.WithRev(revision+1))
	for resp := range changes {
		if resp.Err() == nil && len(resp.Events) > 0 {
			return
		}
	}
	sleep(ctx, 100*time.Millisecond) // a watch that closes at once must not spin
}

// leader reads the election key that was created first and the revision of the read.
func (s *Store) leader(ctx context.Context) (Leader, int64, error) {
	resp, err := s.client.Get(ctx, electionPrefix, clientv3.WithFirstCreate()...)
	if err != nil {
		return Leader{}, 0, readError("read", "leader", err)
	}
	if len(resp.Kvs) == 0 {
		return Leader{}, resp.Header.Revision, nil
	}
	kv := resp.Kvs[0]
	var leader Leader
	if err := json.Unmarshal(kv.Value, &leader); err != nil {
		return Leader{}, 0, fmt.Errorf("read leader %s: %w", kv.Key, err)
	}
	leader.Epoch = kv.CreateRevision
	return leader, resp.Header.Revision, nil
}
