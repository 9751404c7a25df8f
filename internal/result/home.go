package result

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"proofload/internal/result/blob"
)

// The records of a cluster refer to objects in one store. A leader with another one, such as the empty directory
// below a mount point where nothing is mounted, would find no plan and no sample of the runs that it takes over. So
// a store has an identity, which the records name.

const (
	identityKey = "identity"           // the object that holds the identity of a store
	homeKey     = "/proofload/v1/home" // the record of the identity of the store that the records refer to
)

// ErrOtherStore says that the store is not the one that the records refer to.
var ErrOtherStore = errors.New("store is not the one that this cluster's runs are in: give all coordinators the same, and see whether it is mounted")

// OtherStoreError is the ErrOtherStore of a store in which open runs would be looked for in vain.
type OtherStoreError struct {
	Has  string // its identity; empty: it has none
	Want string // identity of the store that the records refer to
	Open int    // how many runs are open
}

// Error says what is there and what to do.
func (e *OtherStoreError) Error() string {
	has := "its identity is " + e.Has
	if e.Has == "" {
		has = "it has no identity, as an empty one"
	}
	return fmt.Sprintf("%s: %s, and runs are open in %s: %d", ErrOtherStore, has, e.Want, e.Open)
}

// Is makes it an ErrOtherStore.
func (e *OtherStoreError) Is(target error) bool { return target == ErrOtherStore }

// CheckStore returns an OtherStoreError if runs are open and their objects are in another store. Another error says
// that the records or the store could not be read.
func (r *Repository) CheckStore(ctx context.Context) error {
	if r.heads == nil {
		return nil
	}
	_, _, err := r.home(ctx, r.heads)
	return err
}

// Elsewhere reports whether the records refer to another store, be it that runs are open or not.
func (r *Repository) Elsewhere(ctx context.Context) (bool, error) {
	has, want, err := r.home(ctx, r.heads)
	return want.Revision != 0 && has != string(want.Value), err
}

// ClaimStore records which store the records of a term refer to, unless they do already. With open runs in another
// store it returns an OtherStoreError; without any the records refer to this one from now on, and moved is true if
// they referred to another one before.
func (r *Repository) ClaimStore(ctx context.Context, term Heads) (moved bool, err error) {
	has, want, err := r.home(ctx, term)
	if err != nil {
		return false, err
	}
	if has == "" {
		if has, err = r.name(ctx); err != nil {
			return false, fmt.Errorf("claim store: %w", err)
		}
	}
	if has == string(want.Value) {
		return false, nil
	}
	if _, err := term.Commit(ctx, []Write{{Key: homeKey, Value: []byte(has), IfRevision: want.Revision}}); err != nil {
		return false, fmt.Errorf("claim store: %w", err)
	}
	return want.Revision != 0, nil
}

// home reads the identity of the store and the record of the one that heads refer to; the zero record: there is none.
func (r *Repository) home(ctx context.Context, heads Reader) (has string, want Record, err error) {
	if want, err = heads.Get(ctx, homeKey); err != nil && !errors.Is(err, ErrNotFound) {
		return "", Record{}, fmt.Errorf("check store: %w", err)
	}
	data, err := r.blobs.Get(ctx, identityKey)
	if err != nil && !errors.Is(err, blob.ErrNotFound) {
		return "", Record{}, fmt.Errorf("check store: %w", err)
	}
	has = string(data)
	if want.Revision == 0 || has == string(want.Value) {
		return has, want, nil
	}
	open, err := recordsBelow(ctx, heads, openPrefix)
	if err != nil {
		return "", Record{}, fmt.Errorf("check store: %w", err)
	}
	if len(open) > 0 {
		err = &OtherStoreError{Has: has, Want: string(want.Value), Open: len(open)}
	}
	return has, want, err
}

// name gives the store an identity, unless somebody else was faster, and returns it.
func (r *Repository) name(ctx context.Context) (string, error) {
	id := rand.Text()
	err := r.blobs.PutIfAbsent(ctx, identityKey, []byte(id))
	if !errors.Is(err, blob.ErrExists) {
		return id, err
	}
	data, err := r.blobs.Get(ctx, identityKey)
	return string(data), err
}
