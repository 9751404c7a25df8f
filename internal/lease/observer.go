package lease

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// recheck is how long an observer trusts a silent watch before it reads again.
	recheck = 10 * time.Second
	// readWithin bounds one read of an observer, so that it notices when etcd answers again elsewhere.
	readWithin = 5 * time.Second
)

// Leader names the leading coordinator, or one that stands for election. The zero Leader is none.
type Leader struct {
	Name    string `json:"name"`
	Address string `json:"address,omitempty"` // at which it serves the API
	Epoch   int64  `json:"-"`                 // its term's; 0: it does not lead
}

// Leader returns who leads now, or ErrNoLeader. The answer may be out of date when it arrives: it
// is for finding the leader, not for deciding anything.
func (s *Store) Leader(ctx context.Context) (Leader, error) {
	candidates, err := s.Candidates(ctx)
	if err != nil {
		return Leader{}, err
	}
	if leader := First(candidates); leader.Epoch != 0 {
		return leader, nil
	}
	return Leader{}, ErrNoLeader
}

// First returns the leader among candidates; the zero Leader when there is none.
func First(candidates []Leader) Leader {
	if len(candidates) == 0 || candidates[0].Epoch == 0 {
		return Leader{}
	}
	return candidates[0]
}

// Candidates returns the coordinators that stand for election, the one that leads first; Epoch is set for
// that one alone. It is a linearizable read: an answer shows that etcd works. An entry that no coordinator
// has written is left out.
func (s *Store) Candidates(ctx context.Context) ([]Leader, error) {
	candidates, _, err := s.candidates(ctx)
	return candidates, err
}

// candidates returns the revision of the read too.
func (s *Store) candidates(ctx context.Context) ([]Leader, int64, error) {
	resp, err := s.client.Get(ctx, electionPrefix, clientv3.WithPrefix(), clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend))
	if err != nil {
		return nil, 0, readError("read", "election", err)
	}
	var out []Leader
	for i, kv := range resp.Kvs {
		var c Leader
		if json.Unmarshal(kv.Value, &c) != nil {
			continue
		}
		if i == 0 {
			c.Epoch = kv.CreateRevision
		}
		out = append(out, c)
	}
	return out, resp.Header.Revision, nil
}

// WatchCandidates calls fn with the candidates of the moment and then whenever they change, until ctx ends;
// that is its only error. Changes that follow each other closely may be seen as one. While etcd does not
// answer nothing changes.
func (s *Store) WatchCandidates(ctx context.Context, fn func([]Leader)) error {
	var last []Leader
	for first := true; ctx.Err() == nil; {
		reading, cancel := context.WithTimeout(ctx, readWithin)
		candidates, revision, err := s.candidates(reading)
		cancel()
		if err != nil {
			sleep(ctx, 500*time.Millisecond)
			continue
		}
		if first || !slices.Equal(candidates, last) {
			fn(candidates)
		}
		first, last = false, candidates
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
