package load

import (
	"sync"
	"time"
)

// Waiter lets the pacer sleep with more precision than the scheduler of an idle Go program has,
// and lets others end that sleep. Wait has one caller at a time; Wake may be called by anyone.
type Waiter interface {
	// Wait returns after d at the latest as far as the machine allows, at once when d is not positive,
	// or when Wake is called; a Wake since the last Wait ends the next one at once.
	Wait(d time.Duration)
	// Wake ends the present or the next Wait.
	Wake()
	// Close releases what the Waiter holds. Nothing may be called afterwards but Wake, which then does nothing.
	Close() error
}

// TimerWaiter is a Waiter on the timers of the Go runtime. In an idle program it may be late by a
// millisecond; it works everywhere, and under a simulated clock.
type TimerWaiter struct {
	timer *time.Timer
	wake  chan struct{}
}

// NewTimerWaiter returns a TimerWaiter.
func NewTimerWaiter() *TimerWaiter {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &TimerWaiter{timer: t, wake: make(chan struct{}, 1)}
}

// Wait implements Waiter.
func (w *TimerWaiter) Wait(d time.Duration) {
	if d <= 0 {
		return
	}
	w.timer.Reset(d)
	select {
	case <-w.timer.C:
	case <-w.wake:
		w.timer.Stop()
	}
}

// Wake implements Waiter.
func (w *TimerWaiter) Wake() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Close implements Waiter.
func (w *TimerWaiter) Close() error {
	w.timer.Stop()
	return nil
}

// latch remembers a Wake that came while nobody waited. It guards the arming of a timer, so that a
// Wake is never overwritten by a later instant.
type latch struct {
	mu     sync.Mutex
	woken  bool
	closed bool
}

// arm calls set unless a Wake is pending, which it then consumes; it reports whether to wait.
func (l *latch) arm(set func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.woken || l.closed {
		l.woken = false
		return false
	}
	set()
	return true
}

// wake notes a Wake and calls set, which must end a wait that is going on.
func (l *latch) wake(set func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed && !l.woken {
		l.woken = true
		set()
	}
}

// clear forgets the Wake that ended a wait.
func (l *latch) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.woken = false
}

func (l *latch) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// close makes every later call a no-op; it reports whether it was the first.
func (l *latch) close() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.closed
	l.closed = true
	return !was
}
