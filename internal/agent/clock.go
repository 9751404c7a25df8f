package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"proofload/internal/run"
)

// runClock is run time on this worker. Where T0 is may change until the load begins: a leader that has
// got no further stamps it anew. Then it is tied for good, and better estimates of the leader's clock
// only slew it.
//
// Every request reads it several times, so readers take no lock: they see one value or the next.
type runClock struct {
	read func() int64              // the machine's monotonic clock
	both func() (int64, time.Time) // the same, with its instant

	tied atomic.Pointer[run.Clock] // nil: T0 is not known

	mu    sync.Mutex // held by who changes anything
	begun bool
	kept  *run.Clock // what is on disk
}

// newRunClock returns a clock that goes by the machine's; without both the instant is read apart.
func newRunClock(read func() int64, both func() (int64, time.Time)) *runClock {
	if both == nil {
		both = func() (int64, time.Time) { return read(), time.Now() }
	}
	return &runClock{read: read, both: both}
}

// resume goes on with a clock that an earlier process has kept.
func (c *runClock) resume(kept run.Clock) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun, c.kept = true, &kept
	c.tied.Store(&kept)
}

// tie says at which reading of the machine's clock T0 is.
func (c *runClock) tie(t0 int64) {
	now := c.read()
	c.mu.Lock()
	defer c.mu.Unlock()
	next := run.Tie(t0)
	if c.begun {
		next = c.clock().Correct(now, t0)
	}
	c.tied.Store(&next)
}

// begin ties the clock for good.
func (c *runClock) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun = true
}

// clock returns the present clock; the zero one before T0 is known.
func (c *runClock) clock() run.Clock {
	if clock := c.tied.Load(); clock != nil {
		return *clock
	}
	return run.Clock{}
}

// known reports whether it is known where T0 is.
func (c *runClock) known() bool { return c.tied.Load() != nil }

// Now implements load.Clock. Before T0 is known it is far before it.
func (c *runClock) Now() time.Duration { return c.at(c.read()) }

// Both implements load.Clock.
func (c *runClock) Both() (time.Duration, time.Time) {
	reading, instant := c.both()
	return c.at(reading), instant
}

// at returns the run time of a reading.
func (c *runClock) at(reading int64) time.Duration {
	if at, known := c.since(reading); known {
		return at
	}
	return beforeT0
}

// since returns the run time of a reading; false before T0 is known.
func (c *runClock) since(reading int64) (time.Duration, bool) {
	clock := c.tied.Load()
	if clock == nil {
		return run.Clock{}.At(reading), false
	}
	return clock.At(reading), true
}

// beforeT0 is the run time while T0 is not known.
const beforeT0 = -1000 * time.Hour

// keepWithin is how far the clock on disk may be from the one in use: a restart steps run time by that
// much at most.
const keepWithin = time.Millisecond

// keep passes the clock to save if what is on disk is not good enough any more.
func (c *runClock) keep(save func(run.Clock) error) error {
	now := c.read()
	c.mu.Lock()
	clock, kept := c.clock(), c.kept
	due := c.begun && (kept == nil || (clock.At(now)-kept.At(now)).Abs() > keepWithin)
	c.mu.Unlock()
	if !due {
		return nil
	}
	if err := save(clock); err != nil {
		return err
	}
	c.mu.Lock()
	c.kept = &clock
	c.mu.Unlock()
	return nil
}

// clockFile keeps the clock of the run that is executed, so that another process on this machine goes on
// with it. Nothing is forced to the disk: a loss of power ends the boot, and with it the readings.
type clockFile struct {
	path string
	boot string // empty: readings mean nothing to another process
}

type keptClock struct {
	Run   string    `json:"run"`
	Boot  string    `json:"boot"`
	Clock run.Clock `json:"clock"`
}

// load returns the clock of a run; ok is false when there is none that this process can use.
func (f clockFile) load(runID string) (clock run.Clock, ok bool, err error) {
	data, err := os.ReadFile(f.path)
	if f.boot == "" || errors.Is(err, fs.ErrNotExist) {
		return run.Clock{}, false, nil
	}
	var k keptClock
	if err == nil {
		err = json.Unmarshal(data, &k)
	}
	if err != nil {
		return run.Clock{}, false, fmt.Errorf("clock of run %s: %w", runID, err)
	}
	return k.Clock, k.Run == runID && k.Boot == f.boot, nil
}

// save replaces what is kept.
func (f clockFile) save(runID string, clock run.Clock) error {
	if f.boot == "" {
		return nil
	}
	data, err := json.Marshal(keptClock{Run: runID, Boot: f.boot, Clock: clock})
	if err != nil {
		return fmt.Errorf("clock of run %s: %w", runID, err)
	}
	tmp := filepath.Join(filepath.Dir(f.path), ".clock")
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return fmt.Errorf("clock of run %s: %w", runID, err)
	}
	if err := os.Rename(tmp, f.path); err != nil {
		return fmt.Errorf("clock of run %s: %w", runID, err)
	}
	return nil
}
