package coordinator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"proofload/internal/lease"
	"proofload/internal/result"
)

const (
	// checkWithin bounds how long a new leader sees whether its store is the right one: one that does not answer is no
	// other one, and the runs have to be taken over.
	checkWithin = time.Second
	claimAgain  = time.Second
	// movedWithin is how long a coordinator that starts waits for a leader that has moved to its store.
	movedWithin = 5 * time.Second
	movedEvery  = 250 * time.Millisecond
)

// home is what a coordinator knows of whether its store is the one that the records refer to.
type home struct {
	mu    sync.Mutex
	wrong string // why it cannot lead; empty: it can, as far as is known
}

func (h *home) set(wrong string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wrong = wrong
}

// problems says what is wrong with the store.
func (h *home) problems(name string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.wrong == "" {
		return nil
	}
	return []string{fmt.Sprintf("coordinator %s does not lead: %s", name, h.wrong)}
}

// openHome refuses to start with another store than the records refer to, if runs are open or other coordinators are
// there: as a leader it would find nothing of the runs. Alone and without runs it moves to the store that it has.
func (c *Coordinator) openHome(ctx context.Context) error {
	began := time.Now()
	for {
		elsewhere, err := c.Repository().Elsewhere(ctx)
		other := (*result.OtherStoreError)(nil)
		switch {
		case errors.As(err, &other):
			return err
		case err != nil:
			c.log.Warn("not known yet whether the store is the one of the cluster's runs", "error", err)
			return nil
		case !elsewhere:
			return nil
		}
		all, err := c.store.Candidates(ctx)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			return nil
		}
		if time.Since(began) > movedWithin {
			return fmt.Errorf("%w: coordinator %s at %s uses it", result.ErrOtherStore, lease.First(all).Name, lease.First(all).Address)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(movedEvery):
		}
	}
}

// hasStore reports whether the store of this coordinator is the one that the records refer to, or no run is open. In
// another one nothing of the runs would be found, and somebody else may have the right one.
func (c *Coordinator) hasStore(ctx context.Context, repository *result.Repository) bool {
	within, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	checked := make(chan error, 1)
	go func() { checked <- repository.CheckStore(within) }() // a disk that hangs does not heed the context
	var err error
	select {
	case err = <-checked:
	case <-within.Done():
		err = context.Cause(within)
	}
	if c.elsewhere(err) {
		return false
	}
	if err != nil && ctx.Err() == nil {
		c.log.Warn("not known whether the store is the one of the cluster's runs", "error", err)
	}
	c.home.set("")
	return true
}

// elsewhere reports whether an error says that the runs are in another store, and keeps it as what is wrong.
func (c *Coordinator) elsewhere(err error) bool {
	if !errors.Is(err, result.ErrOtherStore) {
		return false
	}
	c.home.set(err.Error())
	c.log.Error("resigning", "error", err)
	return true
}

// claimStore has the records refer to the store of this coordinator, if they do not yet; until ctx ends it tries
// again. It returns false when the open runs turn out to be in another store, which was not known while this one did
// not answer.
func (c *Coordinator) claimStore(ctx context.Context, repository *result.Repository, term result.Heads) bool {
	for said := false; ; said = true {
		moved, err := repository.ClaimStore(ctx, term)
		if moved {
			c.log.Warn("the results of earlier runs are in another store than that of this coordinator")
		}
		if err == nil || errors.Is(err, result.ErrFenced) {
			return true
		}
		if c.elsewhere(err) {
			return false
		}
		if !said && ctx.Err() == nil {
			c.log.Warn("not known whether the runs are in this store", "error", err)
		}
		select {
		case <-ctx.Done():
			return true
		case <-time.After(claimAgain):
		}
	}
}
