package result

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"proofload/internal/result/blob"
	"proofload/internal/run"
)

// CheckpointEvery is how many segments may follow a checkpoint before the next is due.
const CheckpointEvery = 64

// Sealed is a segment that will not change any more. The marks are those at its sealing: they ride
// in the same transaction as the segment, and there is no other way to commit marks. A retry passes
// the same pointer.
type Sealed struct {
	Data     []byte
	Marks    Marks
	From, To int64 // run-time seconds, [From, To)
}

// Update is what one commit changes.
type Update struct {
	Segment *Sealed // nil: none
	Run     run.Run
	Facts   Facts
}

// Committer writes the head of one run in one term. One goroutine per run owns it.
//
// Its errors: ErrFenced means step down and acknowledge nothing; it stands for good, also when the
// head turned out to be another's. ErrClosed means the run is final. After any other error the same
// call can be repeated, with the same segment, until it is decided.
type Committer struct {
	heads Heads
	blobs blob.Store
	id    string

	head     Head
	roster   []byte // of head, as it was encoded; nil: not known
	revision int64
	done     *Sealed  // segment of the last commit, to recognise its repetition
	pending  *attempt // transaction whose outcome is unknown
	garbage  []string // checkpoints that newer ones have replaced
	failed   error
}

// attempt is one transaction. It is repeated unchanged until its outcome is known.
type attempt struct {
	head    Head
	roster  []byte
	writes  []Write
	segment *Sealed
}

// OpenCommitter reads the head of a run linearizably and returns a Committer that continues it.
func OpenCommitter(ctx context.Context, heads Heads, blobs blob.Store, id string) (*Committer, error) {
	c := &Committer{heads: heads, blobs: blobs, id: id}
	head, record, err := readHead(ctx, heads, id)
	if err != nil {
		return nil, fmt.Errorf("open run %s: %w", id, err)
	}
	c.head, c.revision = head, record.Revision
	if c.head.Epoch > heads.Epoch() {
		return nil, fmt.Errorf("open run %s in epoch %d: epoch %d has it: %w", id, heads.Epoch(), c.head.Epoch, ErrFenced)
	}
	return c, nil
}

// Head is what is committed. The caller must not change what it points to.
func (c *Committer) Head() Head { return c.head }

// CheckpointDue tells that Checkpoint should be called.
func (c *Committer) CheckpointDue() bool { return c.head.Next-c.head.Oldest >= CheckpointEvery }

// Commit makes u durable: the segment with its marks, the run and the facts, all or nothing. When
// it returns nil, what is in the segment may be acknowledged.
func (c *Committer) Commit(ctx context.Context, u Update) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	if u.Segment != nil && u.Segment == c.done {
		u.Segment = nil // the reply was lost, the commit was not
	}
	next, err := c.next(u)
	if err != nil || next == nil {
		return err
	}
	if next.segment != nil {
		if err := c.put(ctx, next.head.Last.Blob, next.segment.Data); err != nil {
			return err
		}
	}
	return c.transact(ctx, next)
}

// begin settles what is open from earlier calls.
func (c *Committer) begin(ctx context.Context) error {
	if c.failed != nil {
		return c.failed
	}
	if c.pending == nil {
		return nil
	}
	applied, err := c.lookup(ctx, c.pending)
	if err != nil || applied {
		return err
	}
	return c.transact(ctx, c.pending)
}

// next builds the transaction for u, or nil when there is nothing to change.
func (c *Committer) next(u Update) (*attempt, error) {
	h := c.head
	h.Run, h.Facts = u.Run, u.Facts
	if u.Segment == nil && sameHead(h, c.head) {
		return nil, nil // also when the run is final: a repetition is a success
	}
	if c.head.final() {
		return nil, fmt.Errorf("commit run %s: %w", c.id, ErrClosed)
	}
	if u.Segment == nil {
		return c.attempt(h, nil)
	}
	digest := blob.Digest(u.Segment.Data)
	ref := SegmentRef{
		Number: h.Next, Epoch: c.heads.Epoch(), From: u.Segment.From, To: u.Segment.To,
		Blob: blob.RefOf(segmentDir(c.id)+objectName(h.Next, c.heads.Epoch(), digest), u.Segment.Data),
	}
	value, err := json.Marshal(ref)
	if err != nil {
		return nil, fmt.Errorf("commit run %s: %w", c.id, err)
	}
	h.Next, h.Last, h.Marks = h.Next+1, &ref, u.Segment.Marks
	a, err := c.attempt(h, []Write{{Key: segmentKey(c.id, ref.Number), Value: value}})
	if a != nil {
		a.segment = u.Segment
	}
	return a, err
}

// attempt makes the transaction that replaces the head by h and applies extra.
func (c *Committer) attempt(h Head, extra []Write) (*attempt, error) {
	h.Epoch, h.Write = c.heads.Epoch(), rand.Text()
	value, roster, also, err := c.encode(&h)
	if err != nil {
		return nil, fmt.Errorf("commit run %s: %w", c.id, err)
	}
	writes := append([]Write{{Key: HeadKey(c.id), Value: value, IfRevision: c.revision}}, also...)
	return &attempt{head: h, roster: roster, writes: append(writes, extra...)}, nil
}

// sameHead compares what two heads say.
func sameHead(a, b Head) bool {
	left, errA := json.Marshal(a)
	right, errB := json.Marshal(b)
	return errors.Join(errA, errB) == nil && bytes.Equal(left, right)
}

// put stores an object of this epoch. Its name carries its digest, so other content under it is
// damage that no retry can mend.
func (c *Committer) put(ctx context.Context, ref blob.Ref, data []byte) error {
	if err := c.blobs.PutIfAbsent(ctx, ref.Key, data); err != nil {
		return fmt.Errorf("commit run %s: %w", c.id, err)
	}
	return nil
}

// transact tries a once. A reply that does not decide is decided by a linearizable read, and when
// that fails too, or shows that a may still be on its way, the attempt stays pending.
func (c *Committer) transact(ctx context.Context, a *attempt) error {
	first := c.pending == nil // no earlier try of a can still be on its way
	revision, err := c.heads.Commit(ctx, a.writes)
	if err == nil {
		c.adopt(a, revision)
		return nil
	}
	fenced := errors.Is(err, ErrFenced)
	if first && fenced {
		return c.fail(err)
	}
	if first && errors.Is(err, ErrRefused) {
		return fmt.Errorf("commit run %s: %w", c.id, err)
	}
	c.pending = a
	applied, lookErr := c.lookup(ctx, a)
	if applied || lookErr != nil {
		return lookErr
	}
	if fenced { // earlier tries are fenced as well, and the head shows that none was applied
		return c.fail(err)
	}
	if first && errors.Is(err, ErrConflict) {
		c.pending = nil
	}
	return fmt.Errorf("commit run %s: %w", c.id, err)
}

// lookup reads the head and tells whether a was applied. A head that is neither a's nor the one
// that a replaces was written by another leader.
func (c *Committer) lookup(ctx context.Context, a *attempt) (bool, error) {
	record, err := c.heads.Get(ctx, HeadKey(c.id))
	if errors.Is(err, ErrNotFound) {
		return false, c.fail(fmt.Errorf("its head is gone: %w", ErrFenced))
	}
	if err != nil {
		return false, fmt.Errorf("commit run %s: %w: %w", c.id, ErrUnknown, err)
	}
	if record.Revision == c.revision {
		return false, nil
	}
	head, err := decodeHead(record.Key, record.Value)
	if err == nil && head.Write == a.head.Write {
		c.adopt(a, record.Revision)
		return true, nil
	}
	if err == nil {
		err = fmt.Errorf("epoch %d has written its head: %w", head.Epoch, ErrFenced)
	}
	return false, c.fail(err)
}

// adopt makes a the committed state.
func (c *Committer) adopt(a *attempt, revision int64) {
	c.head, c.roster, c.revision, c.pending = a.head, a.roster, revision, nil
	if a.segment != nil {
		c.done = a.segment
	}
}

// fail makes err the answer to everything from now on.
func (c *Committer) fail(err error) error {
	c.failed = fmt.Errorf("commit run %s in epoch %d: %w", c.id, c.heads.Epoch(), err)
	return c.failed
}
