package host

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

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
	clock := time.Now()
	p.now = func() time.Time { return clock }
	p.readTime, p.busyTime = clock, clock
	x := 0.0
	for i := range 50_000_000 {
		x += float64(i)
	}
	_ = x
	clock = clock.Add(time.Second)
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

// TestRatesNeedTime: what is asked for again at once has no rate, which would be one of a tick over
// microseconds; the next one is over all of the time since the last.
func TestRatesNeedTime(t *testing.T) {
	p := New()
	clock := time.Now()
	p.now = func() time.Time { return clock }
	read := func(passed time.Duration) map[string]float64 {
		clock = clock.Add(passed)
		out := map[string]float64{}
		for _, r := range p.Read() {
			out[r.Name] = r.Value
		}
		return out
	}
	rates := []string{"host_cpu", "host_cpu_busiest", "worker_cpu", "host_network_in"}
	first := read(20 * time.Second)
	for _, name := range rates {
		if _, told := first[name]; !told {
			t.Errorf("%s is missing after 20 s", name)
		}
	}
	busiest, cpu := p.BusiestCore(), p.selfCPU
	for range 20 {
		again := read(time.Microsecond)
		for _, name := range rates {
			if v, told := again[name]; told {
				t.Errorf("%s = %v after a microsecond", name, v)
			}
		}
		if _, told := again["host_memory_used"]; !told {
			t.Error("the memory is no rate and is missing")
		}
		if now := p.BusiestCore(); now != busiest {
			t.Errorf("busiest processor %v, and %v at once after", busiest, now)
		}
	}
	p.selfCPU = cpu - 5 // it has worked for 5 s of the 10
	if got := read(10 * time.Second)["worker_cpu"]; got < 0.49 || got > 0.7 {
		t.Errorf("worker_cpu %v, want about 0.5: over all of the time", got)
	}
}

// TestOwn: the share is of all processors that the process may use, over all of the time since it was told last.
func TestOwn(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	p := New()
	clock := time.Now()
	p.now = func() time.Time { return clock }
	p.Own()
	clock = clock.Add(10 * time.Second)
	p.ownAt -= 10 // it has worked for 10 s of 2 x 10
	got := p.Own()
	if got < 0.45 || got > 0.6 {
		t.Errorf("own share %v, want about 0.5", got)
	}
	clock = clock.Add(time.Microsecond)
	if again := p.Own(); again != got {
		t.Errorf("own share %v, and %v at once after", got, again)
	}
}
