package result

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"proofload/internal/result/blob"
	"proofload/internal/run"
)

// roster is the part of a head that grows with the fleet and hardly ever changes: at a thousand workers it is
// nine tenths of it. It is a record of its own, so that a head that is written every second stays far from
// what etcd takes in one request, and its versions far from what etcd keeps until it compacts. It is written
// in the transaction of the head that changes it, and each head names the write that its roster is of. The
// head of a final run is whole, and has none.
type roster struct {
	Write  string       `json:"write,omitempty"` // of the head that it was written with
	Owners []run.Owner  `json:"owners,omitempty"`
	Owed   []run.Member `json:"owed,omitempty"`
	Crew   []Life       `json:"crew,omitempty"`
}

// rosteredVersion is the format of a head that has a roster: who does not know of rosters must not take
// it for one of a run without workers.
const rosteredVersion = 2

// rosterKey is the key of a run's roster.
func rosterKey(run string) string { return rosterPrefix + run }

// split takes the roster out of a head.
func (h Head) split() (Head, roster) {
	r := roster{Owners: h.Run.Shards.Owners, Owed: h.Run.Owed, Crew: h.Facts.Crew}
	h.Run.Shards.Owners, h.Run.Owed, h.Facts.Crew = nil, nil, nil
	return h, r
}

// join puts it back.
func (h Head) join(r roster) Head {
	h.Run.Shards.Owners, h.Run.Owed, h.Facts.Crew = r.Owners, r.Owed, r.Crew
	return h
}

func (r roster) empty() bool { return len(r.Owners)+len(r.Owed)+len(r.Crew) == 0 }

// encode returns the value of the head, and the write that its roster takes, if it takes any. h gets the name
// of its roster, and content is what that says.
func (c *Committer) encode(h *Head) (value, content []byte, also []Write, err error) {
	slim, r := h.split()
	if h.final() || r.empty() {
		if h.Roster != "" {
			also = []Write{{Key: rosterKey(c.id), IfRevision: AnyRevision, Delete: true}}
		}
		h.Version, h.Roster = headVersion, ""
		value, err = json.Marshal(h)
		return value, nil, also, err
	}
	if content, err = json.Marshal(r); err != nil {
		return nil, nil, nil, err
	}
	if h.Roster == "" || !bytes.Equal(content, c.roster) {
		h.Roster, r.Write = h.Write, h.Write
		whole, err := json.Marshal(r)
		if err != nil {
			return nil, nil, nil, err
		}
		also = []Write{{Key: rosterKey(c.id), Value: whole, IfRevision: AnyRevision}}
	}
	h.Version = rosteredVersion
	slim.Version, slim.Roster = h.Version, h.Roster
	value, err = json.Marshal(slim)
	return value, content, also, err
}

// headError says that there is a head, which cannot be read.
type headError struct{ error }

func (e headError) Unwrap() error { return e.error }

// readHead reads a head with its roster. The two are read one after the other; when the roster is not the
// head's because a commit came between, both are read again.
func readHead(ctx context.Context, from Reader, id string) (Head, Record, error) {
	for try := 0; ; try++ {
		record, err := from.Get(ctx, HeadKey(id))
		if err != nil {
			return Head{}, Record{}, err
		}
		head, err := decodeHead(record.Key, record.Value)
		if err != nil {
			return Head{}, Record{}, headError{err}
		}
		if head.Roster == "" {
			return head, record, nil
		}
		var r roster
		stored, err := from.Get(ctx, rosterKey(id))
		switch {
		case err == nil:
			if err := json.Unmarshal(stored.Value, &r); err != nil {
				return Head{}, Record{}, headError{fmt.Errorf("read roster %s: %w", stored.Key, err)}
			}
		case !errors.Is(err, ErrNotFound):
			return Head{}, Record{}, err
		}
		if r.Write == head.Roster {
			return head.join(r), record, nil
		}
		if try == 3 {
			return Head{}, Record{}, headError{fmt.Errorf("read head %s: %w: its roster is not there", record.Key, blob.ErrCorrupt)}
		}
	}
}
