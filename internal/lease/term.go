package lease

import (
	"context"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// MaxWrites is the number of writes that one Commit can carry: etcd's limit of 128 operations per
// transaction, one of which is the fence.
const MaxWrites = 127

// Any as Write.IfRevision makes a write that does not care what was there.
const Any int64 = -1

// incarnationKey is written to obtain revisions that nobody else has.
const incarnationKey = "/proofload/v1/incarnation"

// Write is one change to one key. The zero IfRevision creates the key: the write is refused if it
// exists.
type Write struct {
	Key        string
	Value      []byte
	IfRevision int64 // Revision of the Entry that was read; 0: must not exist; Any
	Delete     bool
}

// Term is one period of leadership. Its methods are safe for concurrent use and stay safe to call
// when it is over: then they refuse.
type Term struct {
	*Store
	epoch  int64
	key    string
	keeper *keeper
	end    func(error) // ends the leader's context with this cause
}

// Epoch is the create revision of the election key: it grows with every new leader of a cluster.
func (t *Term) Epoch() int64 { return t.epoch }

// Left is how long leadership certainly lasts from now on; zero or less when it is over.
func (t *Term) Left() time.Duration { return t.keeper.left() }

// Check returns ErrLeadershipLost when the term is over. It costs no request and has to be asked
// before every grant, because a context may notice later.
func (t *Term) Check() error {
	if t.Left() <= 0 {
		return fmt.Errorf("epoch %d: %w", t.epoch, ErrLeadershipLost)
	}
	return nil
}

// Commit applies all writes in one transaction, or none of them, and returns the revision at which
// it did. It is applied only while the election key of this term exists and every key is at its
// expected revision.
//
// Errors: ErrFenced (the term is over; its context has been ended), ErrConflict, ErrTooLarge,
// ErrNoSpace and ErrDenied say that nothing was written. ErrUnknown says that the reply was lost:
// read the keys again before anything else. Repeating the same writes is safe when each of them
// names a revision.
func (t *Term) Commit(ctx context.Context, writes []Write) (int64, error) {
	if t.Left() <= 0 {
		return 0, fmt.Errorf("commit in epoch %d: %w", t.epoch, ErrFenced)
	}
	if len(writes) > MaxWrites {
		return 0, fmt.Errorf("commit %d writes: %w", len(writes), ErrTooLarge)
	}
	compares := []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(t.key), "=", t.epoch)}
	ops := make([]clientv3.Op, 0, len(writes))
	for _, w := range writes {
		if w.IfRevision != Any {
			compares = append(compares, clientv3.Compare(clientv3.ModRevision(w.Key), "=", w.IfRevision))
		}
		if w.Delete {
			ops = append(ops, clientv3.OpDelete(w.Key))
		} else {
			ops = append(ops, clientv3.OpPut(w.Key, string(w.Value)))
		}
	}
	resp, err := t.client.Txn(ctx).If(compares...).Then(ops...).Else(clientv3.OpGet(t.key)).Commit()
	return t.settle(resp, err, writes)
}

// settle turns the reply of etcd into the result of Commit.
func (t *Term) settle(resp *clientv3.TxnResponse, err error, writes []Write) (int64, error) {
	if err != nil {
		if say := refused(err); say != nil {
			return 0, fmt.Errorf("commit %s: %w: %w", describe(writes), say, err)
		}
		return 0, fmt.Errorf("commit %s: %w: %w", describe(writes), ErrUnknown, err)
	}
	if resp.Succeeded {
		return resp.Header.Revision, nil
	}
	own := resp.Responses[0].GetResponseRange().GetKvs()
	if len(own) == 1 && own[0].CreateRevision == t.epoch {
		return 0, fmt.Errorf("commit %s: %w", describe(writes), ErrConflict)
	}
	t.end(fmt.Errorf("%w: a write of epoch %d was refused", ErrLeadershipLost, t.epoch))
	return 0, fmt.Errorf("commit %s in epoch %d: %w", describe(writes), t.epoch, ErrFenced)
}

// Incarnation hands out a number that is unique in the cluster and greater than every one before
// it, whichever coordinator asks: the revision of a write. After ErrUnknown ask again; the number
// lost is never handed out.
func (t *Term) Incarnation(ctx context.Context, worker string) (int64, error) {
	return t.Commit(ctx, []Write{{Key: incarnationKey, Value: []byte(worker), IfRevision: Any}})
}

// describe names writes in an error.
func describe(writes []Write) string {
	switch len(writes) {
	case 0:
		return "nothing"
	case 1:
		return writes[0].Key
	default:
		return fmt.Sprintf("%s and %d more", writes[0].Key, len(writes)-1)
	}
}

func entryOf(kv *mvccpb.KeyValue) Entry {
	return Entry{Key: string(kv.Key), Value: kv.Value, Revision: kv.ModRevision, Created: kv.CreateRevision}
}
