package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	pb "proofload/proto/proofload/v1"
)

// upload stores a file of a scenario and returns its digest.
func upload(t *testing.T, runs pb.RunServiceClient, content string) string {
	t.Helper()
	stream, err := runs.UploadFile(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(content))
	digest := hex.EncodeToString(sum[:])
	if err := stream.Send(&pb.UploadFileRequest{Digest: digest, Data: []byte(content)}); err != nil {
		t.Fatal(err)
	}
	if done, err := stream.CloseAndRecv(); err != nil || done.GetSize() != int64(len(content)) {
		t.Errorf("upload: %v, %v", done, err)
	}
	return digest
}

// halting is a server that keeps every second arrival waiting, which is what one of two workers sends.
type halting struct {
	mu       sync.Mutex
	underWay int // requests
	most     int // that were under way at once
	waiting  int
	limit    int
	release  chan struct{}
	full     chan struct{} // closed once all permits but one wait here
}

// ServeHTTP implements http.Handler.
func (h *halting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	h.mu.Lock()
	h.underWay++
	h.most = max(h.most, h.underWay)
	if n%2 == 0 {
		if h.waiting++; h.waiting == h.limit-1 {
			close(h.full)
		}
	}
	h.mu.Unlock()
	if n%2 == 0 {
		select {
		case <-h.release:
		case <-r.Context().Done():
		}
	}
	h.mu.Lock()
	h.underWay--
	h.mu.Unlock()
}

// TestUnusedPermitsAreFilled shows with real workers that one whose requests are not answered gets the permits that the
// other does not need, all but one, and fills them; and that together they are never above the fleet's.
func TestUnusedPermitsAreFilled(t *testing.T) {
	const limit = 8
	f := startFleet(t, 2)
	h := &halting{release: make(chan struct{}), full: make(chan struct{}), limit: limit}
	release := sync.OnceFunc(func() { close(h.release) })
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	t.Cleanup(release)
	var rows strings.Builder
	rows.WriteString("n\n")
	for i := range 2000 {
		fmt.Fprintln(&rows, i)
	}
	text := fmt.Sprintf(`version: 1
name: permits
validity: {schedule_lag_p99: 60s, worker_cpu: 100%%, sent: 1%%}
target: %s
data: {n: {csv: n.csv}}
flows: {f: [{step: s, http: {method: GET, path: '/${data.n.n}'}, timeout: 5m}]}
phases: [{name: p, flow: f, max_in_flight: %d, late: 10s, rate: [{hold: {at: 20/s, for: 1m40s}}]}]
workers: {min: 2}
`, s.URL, limit)
	resp, err := f.runs.CreateRun(t.Context(), &pb.CreateRunRequest{RequestId: uuid.NewString(), Source: &pb.ScenarioSource{
		FileName: "permits.yaml", Scenario: []byte(text), Files: map[string]string{"n.csv": upload(t, f.runs, rows.String())},
	}})
	if err != nil {
		t.Fatal(err)
	}
	id := resp.GetRun().GetId()
	select {
	case <-h.full:
	case <-time.After(90 * time.Second): // the load lasts little longer
		t.Error("a worker has not got the permits that the other one does not use")
	}
	f.stop(t, id)
	release()
	f.await(t, id, pb.RunState_RUN_STATE_COMPLETED)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.most > limit {
		t.Errorf("%d requests were under way, more than the %d of the fleet", h.most, limit)
	}
}
