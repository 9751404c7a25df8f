package agent

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"
	"pgregory.net/rapid"

	"proofload/internal/wire"
)

// failer is what *testing.T and *rapid.T have in common.
type failer interface {
	Helper()
	Fatal(args ...any)
}

func openOutbox(t failer, dir string, limit int64) *Outbox {
	t.Helper()
	o, err := OpenOutbox(OutboxOptions{Dir: dir, Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func appendBatch(t failer, o *Outbox, run string, incarnation int64, data string) wire.Sealed {
	t.Helper()
	b, err := o.Append(run, incarnation, func(uint64) []byte { return []byte(data) })
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestOutboxSurvivesRestart proves that what was sealed and not acked comes back with the same
// numbers and bytes, and that what was acked does not.
func TestOutboxSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	o := openOutbox(t, dir, 0)
	for i := range 200 {
		appendBatch(t, o, "r1", 7, fmt.Sprintf("batch %d", i+1))
	}
	if err := o.Ack(wire.Mark{Run: "r1", Incarnation: 7, Through: 150}); err != nil {
		t.Fatal(err)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}

	o = openOutbox(t, dir, 0)
	defer o.Close()
	state := o.State()
	if len(state) != 1 || state[0].NextSeq != 201 || state[0].OldestUnacked > 151 {
		t.Fatalf("state after restart = %+v", state)
	}
	// Whole files are deleted, so up to one file of acked batches may come back: the coordinator's
	// committed mark drops them.
	if err := o.Ack(wire.Mark{Run: "r1", Incarnation: 7, Through: 150}); err != nil {
		t.Fatal(err)
	}
	got := o.Unacked("r1", 7, 0, 1000)
	if len(got) != 50 || got[0].Seq != 151 || string(got[0].Data) != "batch 151" {
		t.Fatalf("un-acked after restart: %d batches, first %+v", len(got), got[:min(1, len(got))])
	}
	if err := o.Ack(wire.Mark{Run: "r1", Incarnation: 7, Through: 200}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "r1")); !os.IsNotExist(err) {
		t.Errorf("folder of a wholly acked run is still there: %v", err)
	}
}

// TestOutboxTornTail proves that a record cut off by a crash hides nothing before it and does not
// come back as a batch.
func TestOutboxTornTail(t *testing.T) {
	for cut := 1; cut < 30; cut += 4 {
		dir := t.TempDir()
		o := openOutbox(t, dir, 0)
		appendBatch(t, o, "r1", 7, "first")
		appendBatch(t, o, "r1", 7, "second of some length")
		if err := o.Close(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "r1", "7", fmt.Sprintf("%020d.spool", 1))
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, info.Size()-int64(cut)); err != nil {
			t.Fatal(err)
		}
		o = openOutbox(t, dir, 0)
		got := o.Unacked("r1", 7, 0, 10)
		if len(got) != 1 || string(got[0].Data) != "first" {
			t.Errorf("cut %d: got %d batches", cut, len(got))
		}
		next := appendBatch(t, o, "r1", 7, "second again")
		if next.Seq != 2 {
			t.Errorf("cut %d: next batch has number %d, want 2", cut, next.Seq)
		}
		if err := o.Close(); err != nil {
			t.Fatal(err)
		}
		o = openOutbox(t, dir, 0)
		if got := o.Unacked("r1", 7, 2, 10); len(got) != 1 || string(got[0].Data) != "second again" {
			t.Errorf("cut %d: after the repair got %v", cut, got)
		}
		o.Close()
	}
}

func TestOutboxFull(t *testing.T) {
	o := openOutbox(t, t.TempDir(), 10)
	defer o.Close()
	appendBatch(t, o, "r1", 7, "12345")
	if o.Full() {
		t.Error("full at half its bound")
	}
	appendBatch(t, o, "r1", 7, "12345")
	if !o.Full() {
		t.Error("not full at its bound")
	}
	if err := o.Ack(wire.Mark{Run: "r1", Incarnation: 7, Through: 1}); err != nil {
		t.Fatal(err)
	}
	if o.Full() {
		t.Error("full after an ack")
	}
}

// TestOutboxModel drives an outbox with random appends, acks and restarts against plain lists. As in
// life, every restart begins a new sequence.
func TestOutboxModel(t *testing.T) {
	type life struct {
		batches [][]byte
		acked   int
	}
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "outbox") //nolint:usetesting // a rapid.T has no TempDir
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		o := openOutbox(t, dir, 0)
		defer func() { o.Close() }()
		lives := []life{{}}
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				now := len(lives) - 1
				data := rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "data")
				b := appendBatch(t, o, "run", int64(now), string(data))
				lives[now].batches = append(lives[now].batches, data)
				if b.Seq != uint64(len(lives[now].batches)) {
					t.Fatalf("batch number %d, want %d", b.Seq, len(lives[now].batches))
				}
			},
			"ack": func(t *rapid.T) {
				i := rapid.IntRange(0, len(lives)-1).Draw(t, "life")
				l := &lives[i]
				l.acked = rapid.IntRange(l.acked, len(l.batches)).Draw(t, "through")
				if err := o.Ack(wire.Mark{Run: "run", Incarnation: int64(i), Through: uint64(l.acked)}); err != nil {
					t.Fatal(err)
				}
			},
			"restart": func(t *rapid.T) {
				if err := o.Close(); err != nil {
					t.Fatal(err)
				}
				o = openOutbox(t, dir, 0)
				lives = append(lives, life{})
			},
			"": func(t *rapid.T) {
				for i, l := range lives {
					got := o.Unacked("run", int64(i), uint64(l.acked)+1, len(l.batches)+1)
					if len(got) != len(l.batches)-l.acked {
						t.Fatalf("life %d: %d un-acked, want %d", i, len(got), len(l.batches)-l.acked)
					}
					for j, b := range got {
						if !bytes.Equal(b.Data, l.batches[l.acked+j]) {
							t.Fatalf("life %d: batch %d has other bytes", i, b.Seq)
						}
					}
				}
			},
		})
	})
}

// TestOutboxKnowsWhoseRunsItHolds proves that a run is dropped on the word of its own cluster only, and
// that whose it is survives a restart.
func TestOutboxKnowsWhoseRunsItHolds(t *testing.T) {
	dir := t.TempDir()
	o := openOutbox(t, dir, 0)
	o.Attached(77)
	appendBatch(t, o, "r1", 7, "data")
	if o.Foreign("r1") {
		t.Error("run of the cluster that the worker is attached to is foreign")
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	o = openOutbox(t, dir, 0)
	defer o.Close()
	l := &link{log: hclog.NewNullLogger(), outbox: o, wake: make(chan struct{}, 1)}
	s := &session{link: l, foreign: map[string]bool{}}
	unknown := wire.Nack{Run: "r1", Incarnation: 7, Want: 1, Reason: wire.NackUnknownRun}
	for _, cluster := range []uint64{0, 78} {
		o.Attached(cluster)
		s.refused(unknown)
		if !o.Foreign("r1") || !o.Holds("r1") || !s.foreign["r1"] {
			t.Errorf("attached to cluster %d: run of another is foreign %v, held %v", cluster, o.Foreign("r1"), o.Holds("r1"))
		}
	}
	o.Attached(77)
	s.refused(unknown)
	if o.Holds("r1") {
		t.Error("samples of a deleted run are kept")
	}
	if _, err := os.Stat(filepath.Join(dir, "r1")); !os.IsNotExist(err) {
		t.Errorf("folder of a deleted run is still there: %v", err)
	}
}

// TestOutboxFailedSync proves that a batch which did not certainly reach the disk leaves nothing there:
// tried again it has the same number, and a sequence with a number twice could not be read.
func TestOutboxFailedSync(t *testing.T) {
	dir := t.TempDir()
	o, err := OpenOutbox(OutboxOptions{Dir: dir, Fsync: true})
	if err != nil {
		t.Fatal(err)
	}
	appendBatch(t, o, "r1", 7, "first")
	broken := errors.New("input/output error")
	o.sync = func(*os.File) error { return broken }
	for range 3 {
		if _, err := o.Append("r1", 7, func(uint64) []byte { return []byte("second, tried in vain") }); !errors.Is(err, broken) {
			t.Fatalf("append without a working disk: %v", err)
		}
	}
	o.sync = (*os.File).Sync
	if b := appendBatch(t, o, "r1", 7, "second"); b.Seq != 2 {
		t.Errorf("batch after the failures is %d, want 2", b.Seq)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	o = openOutbox(t, dir, 0)
	defer func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}()
	if got := o.Unacked("r1", 7, 1, 10); len(got) != 2 || string(got[1].Data) != "second" {
		t.Errorf("after the restart there are %+v", got)
	}
}

// TestOutboxRefusesWhatNoMessageCarries proves that a batch beyond the bound of the link is refused
// when it is sealed, by an error of its own, and takes no number: in the outbox it could never leave it.
func TestOutboxRefusesWhatNoMessageCarries(t *testing.T) {
	o := openOutbox(t, t.TempDir(), 0)
	defer func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := o.Append("r1", 7, func(uint64) []byte { return make([]byte, wire.MaxBatchBytes+1) }); !errors.Is(err, ErrTooLarge) {
		t.Errorf("append beyond the bound: %v", err)
	}
	if b := appendBatch(t, o, "r1", 7, string(make([]byte, wire.MaxBatchBytes))); b.Seq != 1 {
		t.Errorf("batch within the bound is number %d, want 1", b.Seq)
	}
}

// TestCrashWhileASequenceIsRemoved: what is left of a sequence that is closed is removed at the next start, and keeps
// the worker from nothing.
func TestCrashWhileASequenceIsRemoved(t *testing.T) {
	dir := t.TempDir()
	o := openOutbox(t, dir, 0)
	appendBatch(t, o, "r1", 7, "of another life")
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(dir, "r1", "6"+closedSuffix)
	if err := os.Mkdir(left, outboxPermission); err != nil {
		t.Fatal(err)
	}
	for _, first := range []int{1, 129} { // the file between is gone already
		if err := os.WriteFile(filepath.Join(left, fmt.Sprintf("%020d.spool", first)), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o = openOutbox(t, dir, 0)
	if states := o.State(); len(states) != 1 || states[0].Incarnation != 7 {
		t.Errorf("sequences %+v", states)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was left: %v", err)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
}
