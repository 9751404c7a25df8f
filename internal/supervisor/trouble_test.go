package supervisor

import (
	"context"
	"errors"
	"strings"
	"sync"

	"proofload/internal/result"
)

var errLost = errors.New("the network is gone")

// trouble is what can go wrong between a term and its records.
type trouble struct {
	mu   sync.Mutex
	veto func(value string) bool // writes of values that it is true for are refused
	lost bool                    // writes are applied, and no reply comes back
}

// refuse has writes refused; nil: none any more.
func (t *trouble) refuse(veto func(value string) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.veto = veto
}

func everything(string) bool { return true }

func saying(part string) func(string) bool {
	return func(value string) bool { return strings.Contains(value, part) }
}

func (t *trouble) loseReplies(lost bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lost = lost
}

func (t *trouble) refuses(writes []result.Write) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.veto != nil && len(writes) > 0 && t.veto(string(writes[0].Value))
}

func (t *trouble) losesReplies() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lost
}

// Get implements result.Reader.
func (t *term) Get(ctx context.Context, key string) (result.Record, error) {
	if t.trouble.losesReplies() {
		return result.Record{}, errLost
	}
	return t.records.Get(ctx, key)
}
