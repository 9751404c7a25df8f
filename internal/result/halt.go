package result

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"proofload/internal/run"
	"proofload/internal/wire"
)

// haltKey is the key of the one record of halts.
const haltKey = "/proofload/v1/halt"

// haltVersion is the format of that record.
const haltVersion = 1

// HaltRecord says whether the cluster is halted, and which halts were lifted. The zero value: it never was halted.
type HaltRecord struct {
	Version int `json:"version"`

	Halt   *RecordedHalt `json:"halt,omitempty"`   // in force; nil: none is
	Merged []string      `json:"merged,omitempty"` // requests that came after it, and are one with it

	Lifts      int64         `json:"lifts,omitempty"` // how many halts were lifted so far
	LiftedAt   time.Time     `json:"lifted_at,omitzero"`
	LiftedBy   string        `json:"lifted_by,omitempty"`   // identity of the request that lifted the newest
	LastLifted *RecordedHalt `json:"last_lifted,omitempty"` // what that has lifted; nil: nothing
	LiftedIDs  []string      `json:"lifted,omitempty"`      // requests that were lifted, the newest wire.MaxLifted

	// Unreadable says that another version wrote the record, or nobody: Halt is made up, and no other one is merged.
	Unreadable bool `json:"-"`
	// Revision of the record in etcd; 0: there is none.
	Revision int64 `json:"-"`
}

// RecordedHalt is one halt.
type RecordedHalt struct {
	Request string    `json:"request"`
	Reason  string    `json:"reason"`
	By      string    `json:"by,omitempty"`
	AskedOf string    `json:"asked_of"`
	Asked   time.Time `json:"asked"`
}

// Lift is the newest lifting.
func (r HaltRecord) Lift() wire.Lift {
	return wire.Lift{Number: r.Lifts, At: r.LiftedAt, Of: r.LiftedIDs}
}

// Halted returns the halt in force.
func (r HaltRecord) Halted() (wire.Halted, bool) {
	if r.Halt == nil {
		return wire.Halted{}, false
	}
	return r.Halt.halted(), true
}

// InForce returns the halt in force as an order to workers; false: there is none. One that is made up is none: a leader
// that can read the record knows better.
func (r HaltRecord) InForce() (wire.Halt, bool) {
	h := r.Halt
	if h == nil || r.Unreadable {
		return wire.Halt{}, false
	}
	return wire.Halt{
		Kind: run.StopHalt, Reason: h.Reason, By: h.By,
		Order: wire.Order{Request: h.Request, Lifts: r.Lifts}, // without whom it was asked of: it is recorded
	}, true
}

func (h RecordedHalt) halted() wire.Halted {
	return wire.Halted{Since: h.Asked, Reason: h.Reason, By: h.By, AskedOf: h.AskedOf, Request: h.Request, Recorded: true}
}

// With returns the record with a halt added, and whether that changes it. The first halt counts until it is lifted;
// later ones are one with it, and lifted with it. One that was lifted already changes nothing.
func (r HaltRecord) With(h wire.Halt) (HaltRecord, bool) {
	switch {
	case r.Lift().Covers(h.Order):
		return r, false
	case r.Halt == nil:
		r.Halt, r.Merged = &RecordedHalt{Request: h.Request, Reason: h.Reason, By: h.By, AskedOf: h.AskedOf, Asked: h.Asked}, nil
	case r.Unreadable, r.Halt.Request == h.Request, slices.Contains(r.Merged, h.Request):
		return r, false
	default:
		r.Merged = newest(r.Merged, h.Request)
	}
	return r, true
}

// newest returns a list with more at its end, and no more of it than are remembered.
func newest(list []string, more ...string) []string {
	all := slices.Concat(list, more)
	return all[max(0, len(all)-wire.MaxLifted):]
}

// Without returns the record with the halt lifted by a request at a time, and whether that changes it: the same
// request again does not. What is one with the halt is lifted by its identity, so that no clock brings it back. Halts
// of which nobody has told a leader yet are lifted too, if they were asked for before.
func (r HaltRecord) Without(request string, at time.Time) (HaltRecord, bool) {
	if r.LiftedBy == request {
		return r, false
	}
	if r.LiftedAt.After(at) {
		at = r.LiftedAt // by the clock of another leader; it was before all the same
	}
	r.Lifts, r.LiftedAt, r.LiftedBy, r.LastLifted = r.Lifts+1, at, request, r.Halt
	if r.Halt != nil {
		r.LiftedIDs = newest(r.LiftedIDs, newest(r.Merged, r.Halt.Request)...)
	}
	r.Halt, r.Merged, r.Unreadable = nil, nil, false
	return r, true
}

// Lifted returns what the newest lifting has lifted; false: nothing.
func (r HaltRecord) Lifted() (wire.Halted, bool) {
	if r.LastLifted == nil {
		return wire.Halted{}, false
	}
	return r.LastLifted.halted(), true
}

// ReadHalt reads the record of halts. One that cannot be understood is a halt in force, which says so: nobody may
// start a run against the word of somebody who knows more, and lifting it writes the record anew.
func ReadHalt(ctx context.Context, from Reader) (HaltRecord, error) {
	stored, err := from.Get(ctx, haltKey)
	if errors.Is(err, ErrNotFound) {
		return HaltRecord{}, nil
	}
	if err != nil {
		return HaltRecord{}, err
	}
	var r HaltRecord
	err = json.Unmarshal(stored.Value, &r)
	if err == nil && r.Version != haltVersion {
		err = fmt.Errorf("its format is %d, this version knows %d", r.Version, haltVersion)
	}
	if err != nil {
		r.Unreadable = true // what could be read of it stays: which halts were lifted
		r.Halt = &RecordedHalt{Request: "unreadable", Reason: fmt.Sprintf("the record of halts %s cannot be read (%v): see which versions the coordinators have; unhalt writes it anew", haltKey, err), AskedOf: "unknown", Asked: time.Now().UTC().Round(0)}
	}
	r.Revision = stored.Revision
	return r, nil
}

// WriteHalt writes the record of halts over the one at its Revision, in the leader's term, and returns it as it is
// then. Errors are those of Heads.Commit: after one that leaves the outcome open, and after ErrConflict, the record
// is to be read again.
func WriteHalt(ctx context.Context, term Heads, r HaltRecord) (HaltRecord, error) {
	r.Version = haltVersion
	value, err := json.Marshal(r)
	if err != nil {
		return HaltRecord{}, fmt.Errorf("write %s: %w", haltKey, err)
	}
	revision, err := term.Commit(ctx, []Write{{Key: haltKey, Value: value, IfRevision: r.Revision}})
	if err != nil {
		return HaltRecord{}, err
	}
	r.Revision = revision
	return r, nil
}
