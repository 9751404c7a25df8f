package result

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"proofload/internal/metric"
	"proofload/internal/result/blob"
	"proofload/internal/run"
)

// headVersion is the format of heads and of result.json. A reader refuses one that is newer.
const headVersion = 1

// Head is what is committed of one run. All of it changes in one transaction.
type Head struct {
	Version int     `json:"version"`
	Epoch   int64   `json:"epoch"` // of the leader that wrote it
	Write   string  `json:"write"` // identity of the write, by which a lost reply is recognised
	Run     run.Run `json:"run"`
	Roster  string  `json:"roster,omitempty"` // the write that wrote the roster of this head; empty: it is whole

	Next   uint64      `json:"next"`           // number of the next segment; the first is 1
	Last   *SegmentRef `json:"last,omitempty"` // the newest segment
	Oldest uint64      `json:"oldest"`         // of the segments whose references are records of their own
	Marks  Marks       `json:"marks,omitempty"`

	Checkpoint *Checkpoint `json:"checkpoint,omitempty"`
	Manifest   *blob.Ref   `json:"manifest,omitempty"` // of the references that are no records any more

	Facts    Facts  `json:"facts"`
	Files    []File `json:"files,omitempty"` // reports, once final
	Deleting bool   `json:"deleting,omitempty"`
}

// Facts are what a new leader, and the report, must know beyond the run itself.
type Facts struct {
	JudgedThrough int64         `json:"judged_through"`     // second up to which, this one included, was judged; -1: none
	Breaches      []string      `json:"breaches,omitempty"` // acted on already, by their stable ids
	Clock         *Clock        `json:"clock,omitempty"`
	Waited        time.Duration `json:"waited_ns,omitempty"`  // for workers, in the terms so far
	Duplicates    int64         `json:"duplicates,omitempty"` // batches that were received again and discarded
	Leaders       []Leadership  `json:"leaders,omitempty"`    // in the order of their epochs
	Notices       []Notice      `json:"notices,omitempty"`    // callbacks that are owed, in order
	Grace         time.Duration `json:"grace_ns,omitempty"`   // of the leases of the workers
	Crew          []Life        `json:"crew,omitempty"`       // everybody who was given shards
	Events        []Event       `json:"events,omitempty"`     // the newest of them, in order
	Losses        []Loss        `json:"losses,omitempty"`     // in the order in which they were found
}

// Notice is a callback that a run owes. A new leader makes it again: it has the same id then.
type Notice struct {
	ID   string           `json:"id"`
	Kind run.CallbackKind `json:"kind"`
}

// Leadership is one leader's part of a run.
type Leadership struct {
	Epoch       int64         `json:"epoch"`
	Coordinator string        `json:"coordinator"`
	Process     string        `json:"process,omitempty"` // in which the workers live; empty: they are others
	At          time.Duration `json:"at_ns"`             // run time at which it took over
}

// Clock is a run time and the wall time at which it was read.
type Clock struct {
	Run  time.Duration `json:"run_ns"`
	Wall time.Time     `json:"wall"`
}

// Mark says that every batch of a source up to Seq is counted.
type Mark struct {
	Worker      string `json:"w"`
	Incarnation int64  `json:"i"`
	Seq         uint64 `json:"s"`
}

// Marks are sorted by worker and incarnation, one per source.
type Marks []Mark

// MarksOf returns the marks of m.
func MarksOf(m map[metric.Source]uint64) Marks {
	marks := make(Marks, 0, len(m))
	for source, seq := range m {
		marks = append(marks, Mark{source.Worker, source.Incarnation, seq})
	}
	slices.SortFunc(marks, func(a, b Mark) int {
		return cmp.Or(cmp.Compare(a.Worker, b.Worker), cmp.Compare(a.Incarnation, b.Incarnation))
	})
	return marks
}

// Map returns the marks by source.
func (m Marks) Map() map[metric.Source]uint64 {
	by := make(map[metric.Source]uint64, len(m))
	for _, mark := range m {
		by[metric.Source{Worker: mark.Worker, Incarnation: mark.Incarnation}] = mark.Seq
	}
	return by
}

// SegmentRef names one committed segment. From and To are run-time seconds, [From, To).
type SegmentRef struct {
	Number uint64   `json:"n"`
	Epoch  int64    `json:"epoch"`
	From   int64    `json:"from"`
	To     int64    `json:"to"`
	Blob   blob.Ref `json:"blob"`
}

// File is one document of a final run: what counts is the blob, the name is a copy for people.
type File struct {
	Name string   `json:"name"` // key of the copy
	Blob blob.Ref `json:"blob"`
}

// Checkpoint names the aggregates of all segments up to Through.
type Checkpoint struct {
	Through uint64   `json:"through"`
	Blob    blob.Ref `json:"blob"`
}

// decodeHead reads a head and refuses one that it does not understand.
func decodeHead(key string, data []byte) (Head, error) {
	var h Head
	if err := json.Unmarshal(data, &h); err != nil {
		return Head{}, fmt.Errorf("read head %s: %w", key, err)
	}
	if h.Version != headVersion && h.Version != rosteredVersion {
		return Head{}, fmt.Errorf("read head %s: its format is %d, this version knows %d and %d", key, h.Version, headVersion, rosteredVersion)
	}
	if (h.Version == rosteredVersion) != (h.Roster != "") {
		return Head{}, fmt.Errorf("read head %s: a head of format %d with roster %q makes no sense", key, h.Version, h.Roster)
	}
	if h.Next == 0 || h.Oldest == 0 || h.Oldest > h.Next {
		return Head{}, fmt.Errorf("read head %s: segment numbers %d to %d make no sense", key, h.Oldest, h.Next)
	}
	return h, nil
}

// final tells whether nothing may be added any more.
func (h Head) final() bool { return h.Run.State.Final() }
