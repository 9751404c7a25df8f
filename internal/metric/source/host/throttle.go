package host

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"time"
)

// throttle reads how long the control group's quota held the process back.
type throttle struct {
	micros uint64
	at     time.Time
}

// since returns the share of the time since the call before that was throttled.
func (t *throttle) since() float64 {
	micros, ok := throttledMicros("/sys/fs/cgroup/cpu.stat")
	now := time.Now()
	before := *t
	t.micros, t.at = micros, now
	passed := now.Sub(before.at).Microseconds()
	if !ok || before.at.IsZero() || passed <= 0 || micros < before.micros {
		return 0
	}
	return min(float64(micros-before.micros)/float64(passed), 1)
}

// throttledMicros reads throttled_usec of a cpu.stat file of control groups version 2.
func throttledMicros(path string) (uint64, bool) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), "throttled_usec "); ok {
			n, err := strconv.ParseUint(v, 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
