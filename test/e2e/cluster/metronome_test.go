package cluster

import (
	"context"
	"sync"
	"testing"
	"time"
)

// metronome notices when this process does not get to run: what is late then is not the product's fault.
type metronome struct {
	mu   sync.Mutex
	most time.Duration
}

// startMetronome ticks until the test ends.
func startMetronome(t *testing.T) *metronome {
	t.Helper()
	m := &metronome{}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var ticking sync.WaitGroup
	ticking.Go(func() {
		const beat = 20 * time.Millisecond
		for ctx.Err() == nil {
			before := time.Now()
			time.Sleep(beat) // that this takes longer is what is looked for
			m.mu.Lock()
			m.most = max(m.most, time.Since(before)-beat)
			m.mu.Unlock()
		}
	})
	t.Cleanup(func() { cancel(); ticking.Wait() })
	return m
}

// worst returns the longest delay so far.
func (m *metronome) worst() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.most
}
