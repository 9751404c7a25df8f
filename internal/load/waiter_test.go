package load

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func waiters(t *testing.T) map[string]Waiter {
	precise, err := newPreciseWaiter()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]Waiter{"precise": precise, "timer": NewTimerWaiter()}
}

func TestWaiterNeverWakesEarly(t *testing.T) {
	for name, w := range waiters(t) {
		t.Run(name, func(t *testing.T) {
			defer func() { _ = w.Close() }()
			w.Wait(0)
			w.Wait(-time.Second)
			for range 20 {
				start := time.Now()
				w.Wait(300 * time.Microsecond)
				if d := time.Since(start); d < 290*time.Microsecond {
					t.Fatalf("woke after %v", d)
				}
			}
		})
	}
}

// TestWaiterWake: a Wake ends the wait during which, or before which, it comes.
func TestWaiterWake(t *testing.T) {
	for name, w := range waiters(t) {
		t.Run(name, func(t *testing.T) {
			w.Wake()
			w.Wake()
			w.Wait(time.Hour)
			var wg sync.WaitGroup
			wg.Go(func() { w.Wait(time.Hour) })
			w.Wake()
			wg.Wait()
			// Many wakes against many waits: each wait is short only because of its wake.
			waits := make(chan struct{})
			wg.Go(func() {
				defer close(waits)
				for range 200 {
					w.Wait(time.Hour)
					waits <- struct{}{}
				}
			})
			for done := false; !done; {
				w.Wake()
				_, ok := <-waits
				done = !ok
			}
			wg.Wait()
			if err := w.Close(); err != nil {
				t.Error(err)
			}
			w.Wake()
			w.Wait(time.Hour) // of one that is closed ends at once
		})
	}
}

func TestTimerWaiterSimulated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewTimerWaiter()
		start := time.Now()
		w.Wait(1234567)
		if d := time.Since(start); d != 1234567 {
			t.Errorf("waited %v", d)
		}
	})
}
