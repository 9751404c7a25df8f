package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	pb "proofload/proto/proofload/v1"
)

// loseStore takes everything out of the store's directory, and puts it back. The processes hold the
// directory itself open, so that moving that would not be noticed; without the directory for temporary
// files in it every write fails.
func loseStore(t *testing.T, c *cluster, p plan) outcome {
	t.Helper()
	tr := begin(t, c, p)
	at := between(tr.draws, untilSettled, 4*time.Second)
	tr.await(at)
	away := filepath.Join(c.dir, "away")
	if err := os.Mkdir(away, 0o700); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	move(t, c.store, away)
	before := tr.commits.last()
	until(t, "word in the status that nothing is committed", func() bool {
		_, s := c.front.status(t.Context())
		return told(s, tr.id)
	})
	noticed := time.Since(began)
	c.tells(t, tr.t0.Add(at+*outage), provisional(tr.id))
	tr.await(at + *outage)
	if after := tr.commits.last(); after.next > before.next+1 { // one may have been under way
		t.Errorf("samples were committed without a store: %+v, then %+v", before, after)
	}
	move(t, away, c.store)
	if err := os.Remove(away); err != nil {
		t.Error(err)
	}
	tr.note = fmt.Sprintf("store lost at %.2f s for %.1f s, status told it after %.1f s", at.Seconds(), time.Since(began).Seconds(), noticed.Seconds())
	o := tr.end(t)
	o.unharmed(t, 1)
	return o
}

// provisional is what the leader says of a run of which nothing is committed.
func provisional(run string) string {
	return "run " + run + ": nothing could be committed since .*; its numbers are provisional"
}

// told tells whether a status says that what a run shows is not committed.
func told(s *pb.GetStatusResponse, run string) bool {
	for _, r := range s.GetActiveRuns() {
		if r.GetId() == run && r.GetProvisionalSince() != nil {
			return true
		}
	}
	return false
}

// move moves everything in one directory to another on the same file system.
func move(t *testing.T, from, to string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.Rename(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
}
