package result

import (
	"context"
	"errors"
	"fmt"
)

var (
	// ErrFenced says that the term in which a write was tried is over. Nothing was written; the
	// caller steps down and acknowledges nothing.
	ErrFenced = errors.New("the term is over")
	// ErrConflict says that a key was not at the expected revision. Nothing was written.
	ErrConflict = errors.New("record has changed")
	// ErrRefused says that a write cannot be taken as it is, for want of space or rights or because it
	// is too large. Nothing was written.
	ErrRefused = errors.New("write was refused")
	// ErrTooLarge is the ErrRefused of a write that is larger than the store takes: it will not be
	// taken another time either.
	ErrTooLarge = fmt.Errorf("%w: it is too large", ErrRefused)
	// ErrUnknown says that the outcome of a write is not known.
	ErrUnknown = errors.New("outcome of the write is unknown")
	// ErrNotFound says that there is no such record, run or report.
	ErrNotFound = errors.New("not found")
	// ErrClosed says that the run is final: it takes no more samples and no more changes.
	ErrClosed = errors.New("run is closed")
	// ErrActive says that the run is not final yet.
	ErrActive = errors.New("run is still active: stop it first")
)

// Record is one key as read. Revision changes with every write.
type Record struct {
	Key      string
	Value    []byte
	Revision int64
}

// Write is one change of a transaction. IfRevision is the revision that the key must be at: 0 for a
// key that must not exist, AnyRevision for one that does not matter.
type Write struct {
	Key        string
	Value      []byte
	IfRevision int64
	Delete     bool
}

// AnyRevision makes a Write unconditional.
const AnyRevision int64 = -1

// maxWrites is what one transaction certainly carries.
const maxWrites = 120

// Reader reads records linearizably: it shows every write that was acknowledged before the call.
type Reader interface {
	// Get returns the record of key, or an error that is ErrNotFound.
	Get(ctx context.Context, key string) (Record, error)
	// Page returns up to limit records below prefix, ordered by key, behind the key after, and whether
	// there are more.
	Page(ctx context.Context, prefix, after string, limit int) ([]Record, bool, error)
}

// Heads is a Reader that can write as the leader of one epoch.
type Heads interface {
	Reader
	// Epoch is the number of the term; a later term has a greater one.
	Epoch() int64
	// Commit applies all writes or none. ErrFenced, ErrConflict and ErrRefused say that it applied
	// none; any other error leaves it open whether it did or still will.
	Commit(ctx context.Context, writes []Write) (revision int64, err error)
}

// Keys of records.
const (
	runPrefix     = "/proofload/v1/runs/"
	segmentPrefix = "/proofload/v1/segments/"
	requestPrefix = "/proofload/v1/requests/"
	rosterPrefix  = "/proofload/v1/rosters/"
	openPrefix    = "/proofload/v1/open/"
)

// HeadKey is the key of a run's head.
func HeadKey(run string) string { return runPrefix + run + "/head" }

// requestKey holds the id of the run that a request created.
func requestKey(request string) string { return requestPrefix + request }

// openKey exists while something is left to do about a run. By it a leader finds at its start what is
// unfinished, at a cost that does not grow with all the runs that there ever were.
func openKey(run string) string { return openPrefix + run }

// recordsBelow reads all records below prefix.
func recordsBelow(ctx context.Context, r Reader, prefix string) ([]Record, error) {
	var all []Record
	for after, more := "", true; more; {
		var page []Record
		var err error
		if page, more, err = r.Page(ctx, prefix, after, 256); err != nil {
			return nil, err
		}
		if len(page) == 0 {
			break
		}
		all, after = append(all, page...), page[len(page)-1].Key
	}
	return all, nil
}
