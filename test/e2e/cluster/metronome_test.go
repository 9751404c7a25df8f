package cluster

import (
	"context"
	"sync"
	"testing"
	"time"
)

const (
	// beat is how often the metronome asks to run.
	beat = 20 * time.Millisecond
	// punctual is how late a beat may be without anything being wrong: timers are that late on an idle machine.
	punctual = 5 * time.Millisecond
)

// metronome notices when this process does not get to run: what is late then is not the product's fault.
type metronome struct {
	mu     sync.Mutex
	most   time.Duration
	stalls []stall // in order
}

// stall is a time in which this process wanted to run, and did not.
type stall struct{ from, to time.Time }

// startMetronome ticks until the test ends.
func startMetronome(t *testing.T) *metronome {
	t.Helper()
	m := &metronome{}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var ticking sync.WaitGroup
	ticking.Go(func() {
		for ctx.Err() == nil {
			due := time.Now().Add(beat)
			time.Sleep(beat) // that this takes longer is what is looked for
			m.note(due, time.Now())
		}
	})
	t.Cleanup(func() { cancel(); ticking.Wait() })
	return m
}

// note notes a beat that was due at an instant and came at another one.
func (m *metronome) note(due, came time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	late := came.Sub(due)
	m.most = max(m.most, late)
	if late > punctual {
		m.stalls = append(m.stalls, stall{due, came})
	}
}

// worst returns the longest delay so far.
func (m *metronome) worst() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.most
}

// stalled returns for how long of a time this process did not get to run although it wanted to.
func (m *metronome) stalled(from, to time.Time) (sum time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := len(m.stalls) - 1; i >= 0 && m.stalls[i].to.After(from); i-- {
		begin, end := m.stalls[i].from, m.stalls[i].to
		if begin.Before(from) {
			begin = from
		}
		if end.After(to) {
			end = to
		}
		sum += max(0, end.Sub(begin))
	}
	return sum
}
