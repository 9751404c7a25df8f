package result

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"proofload/internal/metric"
	"proofload/internal/result/blob"
	"proofload/internal/run"
)

// crowded is a run with so many workers, and what is recorded of them.
func crowded(workers int) Update {
	u := Update{Run: newRun("r"), Facts: Facts{JudgedThrough: -1}}
	skew := time.Millisecond
	for i := range workers {
		m := run.Member{Worker: fmt.Sprintf("worker-%04d.example", i), Incarnation: int64(1000 + i)}
		from, to := i*run.Positions/workers, (i+1)*run.Positions/workers
		u.Run.Shards.Owners = append(u.Run.Shards.Owners, run.Owner{Member: m, Ranges: []run.Range{{From: from, To: to}}})
		u.Run.Owed = append(u.Run.Owed, m)
		u.Facts.Crew = append(u.Facts.Crew, Life{
			Member: m, Instance: "6f1c9a52-8f0e-4f0c-9d4b-0d3f1f5d7a10", Capacity: 1, Skew: &skew,
			Labels: map[string]string{"site": "berlin", "zone": "b"},
		})
	}
	return u
}

// marked is a segment with a mark of each worker.
func (u Update) marked(n uint64) *Sealed {
	s := sealed(n)
	marks := map[metric.Source]uint64{}
	for _, m := range u.Run.Owed {
		marks[metric.Source{Worker: m.Worker, Incarnation: m.Incarnation}] = n
	}
	s.Marks = MarksOf(marks)
	return s
}

// TestCommitOfALargeFleetIsSmall shows that what is written every second does not hold what hardly ever changes.
func TestCommitOfALargeFleetIsSmall(t *testing.T) {
	cluster, blobs := newCluster(), new(blob.Memory)
	_, c := created(t, cluster.elect(), blobs, "r")
	u := crowded(1000)
	for n := range uint64(3) {
		u.Segment, u.Facts.JudgedThrough = u.marked(n+1), int64(n)
		mustCommit(t, c, u)
	}
	whole, err := json.Marshal(c.Head())
	if err != nil {
		t.Fatal(err)
	}
	head, list := cluster.records[HeadKey("r")], cluster.records[rosterKey("r")]
	t.Logf("the head is %d bytes and its roster %d; in one they are %d", len(head.Value), len(list.Value), len(whole))
	if len(head.Value) > len(whole)/4 {
		t.Errorf("a head of %d bytes, of %d in all", len(head.Value), len(whole))
	}
	if list.Revision >= head.Revision-1 {
		t.Errorf("roster written at revision %d and head at %d, want it to be written with the first commit only", list.Revision, head.Revision)
	}
}

// TestRosterIsRead shows that whoever reads a run finds all of it: in the next term, in a listing, after a
// change, and in the final head, which is whole again.
func TestRosterIsRead(t *testing.T) {
	cluster, blobs := newCluster(), new(blob.Memory)
	repo, c := created(t, cluster.elect(), blobs, "r")
	u := crowded(5)
	check := func(what string, got Head, err error) {
		t.Helper()
		if err != nil || !reflect.DeepEqual(got.Run.Shards, u.Run.Shards) || !reflect.DeepEqual(got.Run.Owed, u.Run.Owed) || !reflect.DeepEqual(got.Facts.Crew, u.Facts.Crew) {
			t.Errorf("%s: %v; %+v, want %+v", what, err, got, u)
		}
	}
	for i := range 3 {
		lost := time.Duration(i) * time.Second
		u.Facts.Crew[i].Lost = &lost
		mustCommit(t, c, u)
		check("committer", c.Head(), nil)
		head, err := repo.Load(t.Context(), "r")
		check("load", head, err)
		open, damaged, err := repo.Open(t.Context())
		if len(open) != 1 || len(damaged) > 0 {
			t.Fatalf("open: %v, %v, %v", open, damaged, err)
		}
		check("open", open[0], err)
		page, err := repo.List(t.Context(), Query{})
		if err != nil || len(page.Runs) != 1 || !reflect.DeepEqual(page.Runs[0].Owed, u.Run.Owed) {
			t.Errorf("listed: %+v, %v", page, err)
		}
		c = reopen(t, cluster.elect(), blobs, "r")
		check("next term", c.Head(), nil)
	}
	u.Run = finished(u.Run)
	if err := c.Finalise(t.Context(), Final{Run: u.Run, Facts: u.Facts}); err != nil {
		t.Fatal(err)
	}
	if _, left := cluster.records[rosterKey("r")]; left {
		t.Error("the roster of a final run is left")
	}
	head, err := decodeHead("k", cluster.records[HeadKey("r")].Value)
	check("final head", head, err)
}

// TestHeadsWithoutARosterAreRead shows that a run that an earlier version has begun goes on.
func TestHeadsWithoutARosterAreRead(t *testing.T) {
	cluster, blobs := newCluster(), new(blob.Memory)
	term := cluster.elect()
	u := crowded(3)
	old := Head{Version: headVersion, Epoch: term.epoch, Write: "w", Run: u.Run, Next: 1, Oldest: 1, Facts: u.Facts}
	value, err := json.Marshal(old)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := term.Commit(t.Context(), []Write{{Key: HeadKey("r"), Value: value}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		c := reopen(t, cluster.elect(), blobs, "r")
		if got := c.Head(); !reflect.DeepEqual(got.Run.Owed, u.Run.Owed) || !reflect.DeepEqual(got.Facts.Crew, u.Facts.Crew) {
			t.Errorf("%+v", got)
		}
		mustCommit(t, c, Update{Run: u.Run, Facts: u.Facts, Segment: u.marked(c.Head().Next)})
	}
}

// between changes something after each read of a head.
type between struct {
	Reader
	change func()
}

func (b *between) Get(ctx context.Context, key string) (Record, error) {
	r, err := b.Reader.Get(ctx, key)
	if key == HeadKey("r") && b.change != nil {
		b.change()
	}
	return r, err
}

// TestRosterOfAnotherHeadIsNotTaken shows that a commit between the two reads has both read again, and that
// a roster which is lost is told as damage, and hides no other run.
func TestRosterOfAnotherHeadIsNotTaken(t *testing.T) {
	cluster, blobs := newCluster(), new(blob.Memory)
	_, c := created(t, cluster.elect(), blobs, "r")
	u := crowded(3)
	mustCommit(t, c, u)
	racing := &between{Reader: cluster}
	changes := 0
	racing.change = func() {
		if changes++; changes <= 2 {
			u.Facts.Crew = slices.Clone(u.Facts.Crew)
			u.Facts.Crew[0].Joined = time.Duration(changes)
			mustCommit(t, c, u)
		}
	}
	head, _, err := readHead(t.Context(), racing, "r")
	if err != nil || head.Facts.Crew[0].Joined != 2 || changes != 3 {
		t.Errorf("after %d reads %+v, %v", changes, head, err)
	}
	delete(cluster.records, rosterKey("r"))
	repo := NewRepository(cluster, blobs)
	if _, err := repo.Load(t.Context(), "r"); !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("load without a roster: %v", err)
	}
	open, damaged, err := repo.Open(t.Context())
	if err != nil || len(open) != 0 || len(damaged) != 1 {
		t.Errorf("open without a roster: %v, %v, %v", open, damaged, err)
	}
	page, err := repo.List(t.Context(), Query{})
	if err != nil || len(page.Runs) != 1 {
		t.Errorf("list without a roster: %+v, %v", page, err)
	}
}
