package clock

import (
	"math"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func bootNanos(t testing.TB) int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		t.Fatal(err)
	}
	return ts.Nano()
}

// No reading is later than the kernel's own clock, and the nearest is close to it.
func TestNanosIsBootTime(t *testing.T) {
	nearest := int64(math.MaxInt64)
	for range 10_000 {
		before := bootNanos(t)
		got := Nanos()
		after := bootNanos(t)
		if got > after {
			t.Fatalf("%d ns after the kernel's clock", got-after)
		}
		nearest = min(nearest, before-got)
	}
	if nearest > 1_000_000 {
		t.Errorf("%d ns before the kernel's clock", nearest)
	}
}

func TestNanosNeverGoesBack(t *testing.T) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			last := Nanos()
			for range 50_000 {
				now := Nanos()
				if now < last {
					t.Errorf("went back by %d ns", last-now)
					return
				}
				last = now
			}
		})
	}
	wg.Wait()
}

// TestInstant: what both clocks say is of the same moment.
func TestInstant(t *testing.T) {
	first, began := Instant()
	for range 10_000 {
		wall, before := time.Now(), Nanos()
		reading, instant := Instant()
		after, end := Nanos(), time.Now()
		if reading < before || reading > after || instant.Before(wall) || instant.After(end) {
			t.Fatalf("%d, not within %d and %d, or %v, not within %v and %v", reading, before, after, instant, wall, end)
		}
		if off := time.Duration(reading-first) - instant.Sub(began); off < 0 || off > time.Millisecond {
			t.Fatalf("%v apart", off)
		}
	}
}

// After a sleep of the machine, which Go's clock does not see, the readings have it.
func TestNanosTakesInASleep(t *testing.T) {
	r := newReader()
	const sleep = int64(3600e9)
	r.ahead.Add(-sleep) // as it was before
	r.compared.Store(-compareEvery)
	if got, want := r.now(), bootNanos(t); want-got > 1e9 || got > want {
		t.Errorf("read %d, the kernel's clock %d", got, want)
	}
}

func BenchmarkNanos(b *testing.B) {
	for b.Loop() {
		Nanos()
	}
}

func BenchmarkKernelsClock(b *testing.B) {
	for b.Loop() {
		bootNanos(b)
	}
}
