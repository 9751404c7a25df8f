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
	share  float64 // what was told last
}

// since returns the share of the time since the call before that was throttled; the same again when that
// was too short a while ago.
func (t *throttle) since(now time.Time) float64 {
	passed := now.Sub(t.at)
	if !t.at.IsZero() && passed < shortest {
		return t.share
	}
	micros, ok := throttledMicros("/sys/fs/cgroup/cpu.stat")
	before := *t
	*t = throttle{micros: micros, at: now}
	if ok && !before.at.IsZero() && micros >= before.micros {
		t.share = min(float64(micros-before.micros)/float64(passed.Microseconds()), 1)
	}
	return t.share
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
