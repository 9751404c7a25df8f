package result

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"proofload/internal/metric"
	"proofload/internal/result/blob"
	"proofload/internal/run"
)

func TestCommitStoresSegmentMarksAndRunTogether(t *testing.T) {
	term, blobs := newCluster().elect(), &blob.Memory{}
	repo, c := created(t, term, blobs, "r")
	rec := newRun("r")
	rec.State = run.Paused
	mustCommit(t, c, Update{Segment: sealed(1), Run: rec, Facts: Facts{JudgedThrough: 7, Breaches: []string{"b"}}})

	head, err := repo.Load(t.Context(), "r")
	if err != nil {
		t.Fatal(err)
	}
	mark := head.Marks.Map()[metric.Source{Worker: "w", Incarnation: 1}]
	if head.Next != 2 || mark != 1 || head.Run.State != run.Paused || head.Facts.JudgedThrough != 7 || head.Epoch != term.epoch {
		t.Errorf("head = %+v", head)
	}
	if got := texts(t, repo, "r", 0); !slices.Equal(got, []string{"segment 1"}) {
		t.Errorf("segments = %q", got)
	}
	if epoch, ok := epochOf(head.Last.Blob.Key); !ok || epoch != term.epoch {
		t.Errorf("epoch in %s = %d, %v, want %d", head.Last.Blob.Key, epoch, ok, term.epoch)
	}
}

func TestNothingToChangeWritesNothing(t *testing.T) {
	term := newCluster().elect()
	_, c := created(t, term, &blob.Memory{}, "r")
	before := term.revision
	mustCommit(t, c, Update{})
	if term.revision != before {
		t.Errorf("revision went from %d to %d", before, term.revision)
	}
}

func TestStoreErrorIsRetriedWithTheSameBytes(t *testing.T) {
	term, down := newCluster().elect(), true
	blobs := &failingBlobs{&blob.Memory{}, func() bool { return down }}
	repo, c := created(t, term, blobs, "r")
	u := Update{Segment: sealed(1), Run: newRun("r")}
	if err := c.Commit(t.Context(), u); !errors.Is(err, errStore) {
		t.Fatalf("Commit with the store down: %v", err)
	}
	if head, _ := repo.Load(t.Context(), "r"); head.Next != 1 {
		t.Errorf("a segment that is not stored was committed: %+v", head)
	}
	rec := newRun("r")
	rec.Reason = "state changes do not wait for the store"
	mustCommit(t, c, Update{Run: rec})
	down = false
	mustCommit(t, c, u)
	if got := texts(t, repo, "r", 0); !slices.Equal(got, []string{"segment 1"}) {
		t.Errorf("segments = %q", got)
	}
}

func TestLostReplyIsDecidedByReading(t *testing.T) {
	for name, tc := range map[string]struct {
		applied, readable bool
		wantErr           error // of the first Commit
	}{
		"applied, readable":       {true, true, nil},
		"applied, unreadable":     {true, false, ErrUnknown},
		"not applied, readable":   {false, true, errNetwork},
		"not applied, unreadable": {false, false, ErrUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			term := newCluster().elect()
			repo, c := created(t, term, &blob.Memory{}, "r")
			term.commit = func(apply func() (int64, error)) (int64, error) {
				if tc.applied {
					if _, err := apply(); err != nil {
						t.Fatalf("apply: %v", err)
					}
				}
				return 0, errNetwork
			}
			if !tc.readable {
				term.get = func() error { return errNetwork }
			}
			u := Update{Segment: sealed(1), Run: newRun("r"), Facts: Facts{JudgedThrough: 3}}
			if err := c.Commit(t.Context(), u); !errors.Is(err, tc.wantErr) {
				t.Fatalf("Commit = %v, want %v", err, tc.wantErr)
			}
			term.commit, term.get = nil, nil
			mustCommit(t, c, u)
			mustCommit(t, c, Update{Segment: sealed(2)})
			if got := texts(t, repo, "r", 0); !slices.Equal(got, []string{"segment 1", "segment 2"}) {
				t.Errorf("segments = %q, want each once", got)
			}
		})
	}
}

func TestStateAfterALostReplyIsWrittenToo(t *testing.T) {
	term := newCluster().elect()
	repo, c := created(t, term, &blob.Memory{}, "r")
	term.commit = func(apply func() (int64, error)) (int64, error) {
		_, _ = apply()
		return 0, errNetwork
	}
	term.get = func() error { return errNetwork }
	segment := sealed(1)
	if err := c.Commit(t.Context(), Update{Segment: segment, Run: newRun("r")}); err == nil {
		t.Fatal("Commit succeeded with the network down")
	}
	term.commit, term.get = nil, nil
	rec := newRun("r")
	rec.State = run.Stopping
	mustCommit(t, c, Update{Segment: segment, Run: rec})
	head, _ := repo.Load(t.Context(), "r")
	if head.Run.State != run.Stopping || head.Next != 2 {
		t.Errorf("state %s, next %d; want STOPPING and 2", head.Run.State, head.Next)
	}
}

func TestDelayedTransactionIsNotAppliedTwice(t *testing.T) {
	term := newCluster().elect()
	repo, c := created(t, term, &blob.Memory{}, "r")
	var late func() (int64, error)
	term.commit = func(apply func() (int64, error)) (int64, error) { late = apply; return 0, errNetwork }
	u := Update{Segment: sealed(1), Run: newRun("r")}
	if err := c.Commit(t.Context(), u); !errors.Is(err, errNetwork) {
		t.Fatalf("Commit: %v", err)
	}
	// The first transaction arrives between the look-up and the repetition.
	term.commit = func(apply func() (int64, error)) (int64, error) {
		_, _ = late()
		return apply()
	}
	mustCommit(t, c, u)
	term.commit = nil
	mustCommit(t, c, Update{Segment: sealed(2)})
	if _, err := late(); !errors.Is(err, ErrConflict) {
		t.Errorf("transaction that arrives later still: %v, want ErrConflict", err)
	}
	if got := texts(t, repo, "r", 0); !slices.Equal(got, []string{"segment 1", "segment 2"}) {
		t.Errorf("segments = %q", got)
	}
}

func TestZombieIsFencedForGood(t *testing.T) {
	cluster := newCluster()
	old, blobs := cluster.elect(), &blob.Memory{}
	repo, zombie := created(t, old, blobs, "r")
	mustCommit(t, zombie, Update{Segment: sealed(1)})
	fresh := reopen(t, cluster.elect(), blobs, "r")
	u := Update{Segment: &Sealed{Data: []byte("zombie"), From: 1, To: 2}, Run: newRun("r")}
	if err := zombie.Commit(t.Context(), u); !errors.Is(err, ErrFenced) {
		t.Fatalf("zombie's Commit: %v, want ErrFenced", err)
	}
	if err := zombie.Commit(t.Context(), Update{Run: newRun("r")}); !errors.Is(err, ErrFenced) {
		t.Errorf("zombie's next Commit: %v, want ErrFenced", err)
	}
	mustCommit(t, fresh, Update{Segment: sealed(2)})
	if got := texts(t, repo, "r", 0); !slices.Equal(got, []string{"segment 1", "segment 2"}) {
		t.Errorf("segments = %q", got)
	}
	if n, err := fresh.Sweep(t.Context()); n != 1 || err != nil {
		t.Errorf("Sweep = %d, %v, want the zombie's object", n, err)
	}
	if got := texts(t, repo, "r", 0); len(got) != 2 {
		t.Errorf("after Sweep segments = %q", got)
	}
}

func TestFencedRepetitionOfWhatWasAppliedIsASuccess(t *testing.T) {
	cluster := newCluster()
	term := cluster.elect()
	_, c := created(t, term, &blob.Memory{}, "r")
	term.commit = func(apply func() (int64, error)) (int64, error) { _, _ = apply(); return 0, errNetwork }
	term.get = func() error { return errNetwork }
	u := Update{Segment: sealed(1), Run: newRun("r")}
	_ = c.Commit(t.Context(), u)
	term.commit, term.get = nil, nil
	cluster.elect()
	if err := c.Commit(t.Context(), u); err != nil || c.Head().Next != 2 {
		t.Errorf("Commit = %v, next %d; want success, since all of it is committed", err, c.Head().Next)
	}
	if err := c.Commit(t.Context(), Update{Segment: sealed(2), Run: newRun("r")}); !errors.Is(err, ErrFenced) {
		t.Errorf("next Commit: %v, want ErrFenced", err)
	}
}

func TestOpenRefusesAHeadOfALaterEpoch(t *testing.T) {
	cluster := newCluster()
	old, blobs := cluster.elect(), &blob.Memory{}
	created(t, old, blobs, "r")
	mustCommit(t, reopen(t, cluster.elect(), blobs, "r"), Update{Segment: sealed(1)})
	if _, err := OpenCommitter(t.Context(), old, blobs, "r"); !errors.Is(err, ErrFenced) {
		t.Errorf("OpenCommitter in an old term: %v, want ErrFenced", err)
	}
}

func TestRefusedWriteDoesNotBlockOthers(t *testing.T) {
	term := newCluster().elect()
	repo, c := created(t, term, &blob.Memory{}, "r")
	term.commit = func(func() (int64, error)) (int64, error) { return 0, ErrRefused }
	rec := newRun("r")
	rec.Reason = "too long"
	if err := c.Commit(t.Context(), Update{Run: rec}); !errors.Is(err, ErrRefused) {
		t.Fatalf("Commit: %v", err)
	}
	term.commit = nil
	rec.Reason = "short"
	mustCommit(t, c, Update{Run: rec})
	if head, _ := repo.Load(t.Context(), "r"); head.Run.Reason != "short" {
		t.Errorf("reason = %q", head.Run.Reason)
	}
}

func TestCheckpointsFoldReferencesAndLoseNothing(t *testing.T) {
	cluster := newCluster()
	term, blobs := cluster.elect(), &blob.Memory{}
	repo, c := created(t, term, blobs, "r")
	var want []string
	const total = 5*CheckpointEvery + 7
	for n := uint64(1); n <= total; n++ {
		mustCommit(t, c, Update{Segment: sealed(n)})
		want = append(want, fmt.Sprintf("segment %d", n))
		if c.CheckpointDue() {
			aggregates := fmt.Appendf(nil, "aggregates through %d", n)
			for range 2 { // a repetition changes nothing
				if err := c.Checkpoint(t.Context(), aggregates); err != nil {
					t.Fatalf("Checkpoint: %v", err)
				}
			}
		}
	}
	records, err := recordsBelow(t.Context(), cluster, segmentPrefix)
	if err != nil || len(records) != 7 {
		t.Errorf("%d references are records, %v; want 7", len(records), err)
	}
	if got := texts(t, repo, "r", 0); !slices.Equal(got, want) {
		t.Errorf("segments = %q", got)
	}
	head, _ := repo.Load(t.Context(), "r")
	data, through, err := repo.Aggregates(t.Context(), head)
	if err != nil || through != 5*CheckpointEvery || string(data) != fmt.Sprintf("aggregates through %d", through) {
		t.Errorf("Aggregates = %q, %d, %v", data, through, err)
	}
	if got := texts(t, repo, "r", through); !slices.Equal(got, want[through:]) {
		t.Errorf("segments after the checkpoint = %q", got)
	}
	for _, after := range []uint64{1, 63, 64, 65, 200, total} {
		if got := texts(t, repo, "r", after); !slices.Equal(got, want[after:]) {
			t.Errorf("segments after %d: %d of them, want %d", after, len(got), len(want[after:]))
		}
	}
	if keys, _ := keysBelow(t.Context(), blobs, checkpointDir("r")); len(keys) != 2 {
		t.Errorf("checkpoints kept = %q, want the last and the one before", keys)
	}
	next := reopen(t, cluster.elect(), blobs, "r")
	if n, err := next.Sweep(t.Context()); n != 1 || err != nil {
		t.Errorf("Sweep = %d, %v; want the replaced checkpoint alone", n, err)
	}
	if got := texts(t, repo, "r", 0); !slices.Equal(got, want) {
		t.Errorf("after Sweep segments = %d, want %d", len(got), len(want))
	}
}

func TestFinaliseClosesTheRun(t *testing.T) {
	term, blobs := newCluster().elect(), &blob.Memory{}
	repo, c := created(t, term, blobs, "r")
	for n := uint64(1); n <= 2*maxFold+5; n++ { // without any checkpoint
		mustCommit(t, c, Update{Segment: sealed(n)})
	}
	final := Final{Run: finished(newRun("r")), Reports: map[string][]byte{"json": []byte("{}"), "md": []byte("# r")}}
	for range 2 {
		if err := c.Finalise(t.Context(), final); err != nil {
			t.Fatalf("Finalise: %v", err)
		}
	}
	if err := c.Commit(t.Context(), Update{Segment: sealed(999), Run: final.Run}); !errors.Is(err, ErrClosed) {
		t.Errorf("Commit after the end: %v, want ErrClosed", err)
	}
	if err := c.Checkpoint(t.Context(), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Checkpoint after the end: %v, want ErrClosed", err)
	}
	if err := repo.Publish(t.Context(), "r"); err != nil {
		t.Fatalf("Publish: %v", err)
	}
	offline := NewRepository(nil, blobs)
	if got := texts(t, offline, "r", 0); len(got) != 2*maxFold+5 {
		t.Errorf("offline: %d segments", len(got))
	}
	for _, r := range []*Repository{repo, offline} {
		if md, err := r.Report(t.Context(), "r", "md"); string(md) != "# r" || err != nil {
			t.Errorf("Report = %q, %v", md, err)
		}
		if _, err := r.Report(t.Context(), "r", "xml"); !errors.Is(err, ErrNotFound) {
			t.Errorf("absent report: %v", err)
		}
	}
	if data, err := blobs.Get(t.Context(), "reports/r/report.md"); string(data) != "# r" || err != nil {
		t.Errorf("copy = %q, %v", data, err)
	}
}

func TestFinaliseNeedsAFinalState(t *testing.T) {
	_, c := created(t, newCluster().elect(), &blob.Memory{}, "r")
	if err := c.Finalise(t.Context(), Final{Run: newRun("r")}); err == nil {
		t.Error("a running run was finalised")
	}
}

func TestDamageIsFound(t *testing.T) {
	term, blobs := newCluster().elect(), &blob.Memory{}
	repo, c := created(t, term, blobs, "r")
	mustCommit(t, c, Update{Segment: sealed(1)})
	if err := blobs.Put(t.Context(), c.Head().Last.Blob.Key, []byte("other")); err != nil {
		t.Fatal(err)
	}
	for _, err := range repo.Segments(t.Context(), "r", 0) {
		if !errors.Is(err, blob.ErrCorrupt) {
			t.Errorf("damaged segment: %v, want ErrCorrupt", err)
		}
	}
}
