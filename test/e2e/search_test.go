package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	pb "proofload/proto/proofload/v1"
)

// bucket is a server that bears a known rate: it has so many tokens a second, a second's worth at most, and answers
// 503 when there is none.
type bucket struct {
	*httptest.Server
	rate float64

	mu     sync.Mutex
	tokens float64
	last   time.Time
	count  int64
	after  int64         // when so many were received,
	hit    chan struct{} // this is closed
}

func startBucket(t *testing.T, rate float64, after int64) *bucket {
	t.Helper()
	b := &bucket{rate: rate, tokens: rate, last: time.Now(), after: after, hit: make(chan struct{})}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !b.take() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *bucket) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.tokens = min(b.rate, b.tokens+b.rate*now.Sub(b.last).Seconds())
	b.last = now
	if b.count++; b.count == b.after {
		close(b.hit)
	}
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

func (b *bucket) received() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count
}

// hunt searches a target by two workers. What the machine does meanwhile may make arrivals late, and loses none.
func hunt(target string) string {
	return fmt.Sprintf(`version: 1
name: hunt
seed: 7
target: %s
allow_targets: [127.0.0.1]
flows:
  f:
    - step: s1
      http: {method: GET, path: /a}
phases:
  - name: open
    flow: f
    late: 20s
    rate:
      - hold: {at: 50/s, for: 10s}
search:
  phase: open
  between: [50/s, 400/s]
  probe: {warm: 1s, measure: 4s}
  precision: 50%%
  confirm: 2
criteria:
  - name: few errors
    check: error_ratio(requests) < 1%%
validity: {schedule_lag_p99: 2s, worker_cpu: 100%%, sent: 50%%}
coordinator_loss: {grace: 60s}
`, target)
}

// hunted is what a report says of a search.
type hunted struct {
	document
	Verdict struct {
		Result  string            `json:"result"`
		Reasons []json.RawMessage `json:"reasons"`
	} `json:"verdict"`
	Search struct {
		Result string   `json:"result"`
		Low    float64  `json:"capacity_low_per_s"`
		High   float64  `json:"capacity_high_per_s"`
		Broke  string   `json:"criterion"`
		Probes []probed `json:"probes"`
	} `json:"search"`
}

type probed struct {
	Rate    float64 `json:"rate_per_s"`
	At      float64 `json:"at_s"`
	Outcome string  `json:"outcome"`
	Reason  string  `json:"reason"`
	Sent    int64   `json:"sent"`
}

func (n *node) hunted(t *testing.T, id string) hunted {
	t.Helper()
	n.followed(t, id)
	stream, err := n.runs.GetReport(t.Context(), &pb.GetReportRequest{RunId: id, Format: pb.ReportFormat_REPORT_FORMAT_JSON})
	if err != nil {
		t.Fatal(err)
	}
	var data []byte
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data = append(data, part.GetData()...)
	}
	var d hunted
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// found checks that the search found what the bucket bears, and that its books are those of the server.
func found(t *testing.T, d hunted, b *bucket) {
	t.Helper()
	if d.Verdict.Result != "PASS" || d.Search.Result != "found" || d.Search.Low != 100 || d.Search.High != 200 || d.Search.Broke != "few errors" {
		t.Errorf("verdict %s %s, search %+v; the server bears %v/s", d.Verdict.Result, d.Verdict.Reasons, d.Search, b.rate)
	}
	for i, p := range d.Search.Probes {
		if p.Outcome != "held" && p.Outcome != "broken" && p.Outcome != "disturbed" {
			t.Errorf("probe %+v", p)
		}
		if i > 0 && p.At < d.Search.Probes[i-1].At+5 {
			t.Errorf("probe at %v begins before the one at %v is over", p.At, d.Search.Probes[i-1].At)
		}
	}
	if n := b.received(); d.Load.Planned != d.Load.Sent || d.Requests.Sent != n || d.Integrity.Completeness != 1 {
		t.Errorf("planned %d, sent %d, requests %d, completeness %v; the server counted %d", d.Load.Planned, d.Load.Sent, d.Requests.Sent, d.Integrity.Completeness, n)
	}
}

// TestSearchFindsWhatAServerBears shows that two workers together find the rate that a server of its own bears.
func TestSearchFindsWhatAServerBears(t *testing.T) {
	c := startCluster(t, 1, nil)
	c.work(2, newRoads(), c.addresses()...)
	b := startBucket(t, 140, 1)
	id := c.nodes[0].create(t, hunt(b.URL))
	found(t, c.nodes[0].hunted(t, id), b)
}

// TestSearchOutlivesItsLeader shows that the search goes on where it was when its leader ends in the middle of a
// probe: the next one judges the probe by all of its seconds, and no arrival is lost.
func TestSearchOutlivesItsLeader(t *testing.T) {
	c := startCluster(t, 3, nil)
	c.work(2, newRoads(), c.addresses()...)
	// The first probe sends 250 requests, the second 500: it is under way then.
	b := startBucket(t, 140, 500)
	id := c.nodes[1].create(t, hunt(b.URL))
	<-b.hit
	c.nodes[0].stop()
	d := c.nodes[2].hunted(t, id)
	found(t, d, b)
	for _, p := range d.Search.Probes {
		if p.Outcome == "disturbed" {
			t.Logf("probe at %v/s: %s", p.Rate, p.Reason)
		}
	}
}
