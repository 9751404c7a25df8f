package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	reports "proofload/internal/result/report"
	pb "proofload/proto/proofload/v1"
)

// mixed has arrivals that succeed, some that the target fails, and some whose second request is never sent.
const mixed = `version: 1
name: mixed
validity: {schedule_lag_p99: 60s, worker_cpu: 100%, sent: 1%}
target: mock://shop
mocks:
  shop:
    routes:
      - match: {method: GET, path: /a}
        json: {word: none}
flows:
  good:
    - step: a
      http: {method: GET, path: /a}
  failed:
    - step: b
      http: {method: GET, path: /b}
  unsent:
    - step: c
      http: {method: GET, path: /a}
      save: {word: json.word}
    - step: d
      http: {method: GET, path: /a, headers: {x: "${fromJSON(vars.word)}"}}
phases:
  - name: p
    mix: {good: 5, failed: 3, unsent: 2}
    late: 30s
    rate:
      - hold: {at: 40/s, for: 1500ms}
criteria:
  - name: c
    check: error_ratio(requests) < 100%
`

// TestLastLineIsTheReports: the last line of plain progress has the totals of the report, also of what
// ended after the last whole second.
func TestLastLineIsTheReports(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "mixed.yaml")
	if err := os.WriteFile(file, []byte(mixed), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, progress bytes.Buffer
	if code := Coordinator([]string{"run", file, "--out", dir, "--workers", "2", "--progress", "plain"}, &out, &progress); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, out.String(), progress.String())
	}
	found, err := filepath.Glob(filepath.Join(dir, "reports", "*", "report.json"))
	if err != nil || len(found) != 1 {
		t.Fatalf("reports %v, %v", found, err)
	}
	data, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	d, err := reports.ReadJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if d.Load.Succeeded == 0 || d.Load.Failed == 0 || d.Requests.Unsent["template"] == 0 {
		t.Errorf("the run lacks something: %+v, %+v", d.Load, d.Requests)
	}
	lines := strings.Split(strings.TrimSpace(progress.String()), "\n")
	want := fmt.Sprintf("  sent %d of %d  succeeded %d  failed %d  unsent requests %d",
		d.Load.Sent, d.Load.Planned, d.Load.Succeeded, d.Load.Failed, d.Requests.Unsent["template"])
	if last := lines[len(lines)-1]; !strings.HasSuffix(last, want) {
		t.Errorf("the last line is not %q:\n%s", want, progress.String())
	}
}

// TestUnsentIsShown: requests that never left are on the line of the run, and on that of their phase; where
// there are none, not a word.
func TestUnsentIsShown(t *testing.T) {
	m := liveView(1)
	show := func() string {
		var b strings.Builder
		p := &plainProgress{out: &b}
		p.update(m)
		u := &tui{out: &b, size: func() (int, int) { return 200, 24 }}
		u.update(m)
		return b.String()
	}
	if text := show(); strings.Contains(text, "unsent") {
		t.Errorf("nothing is unsent:\n%s", text)
	}
	m.Progress.Load.Unsent = 12
	m.Progress.Phases[0].Load = &pb.LoadCounts{Unsent: 7}
	text := show()
	if run, phase := strings.Count(text, "unsent requests 12"), strings.Count(text, "unsent requests 7"); run != 2 || phase != 1 {
		t.Errorf("told %d times of the run and %d times of the phase, want 2 and 1:\n%s", run, phase, text)
	}
}

// TestPlainProgressSaysEachSecondOnce: a second has its line once its numbers have come, whatever else is told
// before; none is repeated.
func TestPlainProgressSaysEachSecondOnce(t *testing.T) {
	var b strings.Builder
	p := &plainProgress{out: &b}
	tell := func(runTime time.Duration, window, sent int64, events ...*pb.RunEvent) {
		m := liveView(0)
		m.Events = events
		m.Progress.RunTimeNanos, m.Progress.Load.Sent = int64(runTime), sent
		m.Progress.Window.EndNanos = window * int64(time.Second)
		p.update(m)
	}
	tell(100*time.Millisecond, 0, 0)
	tell(4030*time.Millisecond, 4, 184)
	tell(5001*time.Millisecond, 4, 184, &pb.RunEvent{Kind: "phase", Detail: "steady started", RunTimeNanos: 5_000_000_000})
	tell(5040*time.Millisecond, 5, 276)
	tell(5900*time.Millisecond, 5, 276, &pb.RunEvent{Kind: "pause"})
	tell(6050*time.Millisecond, 6, 370)
	tell(6400*time.Millisecond, 7, 390) // the load ended within this second
	var seconds []string
	for line := range strings.Lines(b.String()) {
		if _, sent, ok := strings.Cut(line, "  sent "); ok {
			seconds = append(seconds, strings.Fields(line)[0]+" "+sent)
		}
	}
	if want := []string{"0:04 184 of 10\n", "0:05 276 of 10\n", "0:06 370 of 10\n"}; !slices.Equal(seconds, want) {
		t.Errorf("lines %q, want %q:\n%s", seconds, want, b.String())
	}
}
