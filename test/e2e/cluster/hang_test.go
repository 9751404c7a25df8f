//go:build soak && unix

package cluster

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"

	pb "proofload/proto/proofload/v1"
)

// TestHaltWhileTheStoreHangs shows that a new leader, to whom the store does not tell of a run, keeps its load going,
// says so, and can end it all the same.
func TestHaltWhileTheStoreHangs(t *testing.T) {
	c := startCluster(t)
	tr := begin(t, c, endless(*from))
	tr.await(between(tr.draws, untilSettled, 4*time.Second))
	release := hang(t, filepath.Join(c.store, "files"))
	leader := c.leader(t)
	c.coordinator(leader).kill(t)
	next := leader
	until(t, "word of the next leader that the run is being taken over", func() bool {
		for who := range coordinators {
			s, err := c.front.ask(t.Context(), who)
			if who != leader && err == nil && strings.Contains(strings.Join(s.GetProblems(), "\n"), "run "+tr.id+" is being taken over") {
				next = who
			}
		}
		return next != leader
	})
	before := tr.target.received()
	until(t, "sign that the load goes on", func() bool { return tr.target.received() >= before+2*int64(tr.plan.rate) })
	answer := haltAt(t, c, next)
	if !answer.GetHalt().GetRecorded() || len(answer.GetToldWorkers()) != workers || len(answer.GetStoppedWorkers()) != workers {
		t.Errorf("the answer is %v, want that it is recorded and all %d workers have stopped", answer, workers)
	}
	tr.target.quiet(t)
	release()
	r := tr.report(t)
	tr.stopped(t, r)
	if r.Verdict.StoppedBy != "halt" {
		t.Errorf("run %s was stopped by %q", tr.id, r.Verdict.StoppedBy)
	}
	c.front.call(t, "unhalt", func(ctx context.Context, conn grpc.ClientConnInterface) error {
		_, err := pb.NewFleetServiceClient(conn).Unhalt(ctx, &pb.UnhaltRequest{RequestId: uuid.NewString()})
		return err
	})
}

// hang has whoever reads a file below a directory wait until release is called.
func hang(t *testing.T, dir string) (release func()) {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	for _, path := range files {
		if err == nil {
			err = os.Rename(path, path+".away")
		}
		if err == nil {
			err = syscall.Mkfifo(path, 0o600) // who opens it waits for a writer
		}
	}
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files below %s: %v", len(files), dir, err)
	}
	return func() {
		for _, path := range files {
			data, err := os.ReadFile(path + ".away")
			if err != nil {
				t.Fatal(err)
			}
			pipe, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(path+".away", path); err != nil {
				t.Fatal(err)
			}
			if _, err := pipe.Write(data); err != nil { // who waits keeps it from going with this end
				t.Fatal(err)
			}
			if err := pipe.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
