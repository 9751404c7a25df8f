package host

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shirou/gopsutil/v4/cpu"
)

func TestShares(t *testing.T) {
	before := []cpu.TimesStat{{Idle: 10}, {Idle: 10}}
	now := []cpu.TimesStat{{User: 1, Idle: 11}, {User: 0.5, System: 0.25, Idle: 11.25}}
	busiest, mean := shares(before, now)
	if busiest != 0.5 || mean != 1.75/4 {
		t.Errorf("busiest %v, mean %v", busiest, mean)
	}
}

func TestThrottledMicros(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cpu.stat")
	if err := os.WriteFile(path, []byte("usage_usec 9\nnr_throttled 2\nthrottled_usec 1234\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, ok := throttledMicros(path); got != 1234 || !ok {
		t.Errorf("got %d, %v", got, ok)
	}
}

// TestReadings proves on the real machine that what is read lies where it can lie.
func TestReadings(t *testing.T) {
	p := New()
	x := 0.0
	for i := range 50_000_000 {
		x += float64(i)
	}
	_ = x
	seen := map[string]bool{}
	for _, r := range p.Read() {
		seen[r.Name] = true
		if r.Value < 0 || (r.Unit == "ratio" && r.Category == "system" && r.Value > 1) {
			t.Errorf("%s = %v", r.Name, r.Value)
		}
	}
	for _, want := range []string{"host_cpu", "host_memory_used", "worker_memory", "worker_goroutines"} {
		if !seen[want] {
			t.Errorf("%s is missing", want)
		}
	}
}
