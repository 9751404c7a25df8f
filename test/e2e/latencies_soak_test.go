//go:build soak && linux

package e2e

import (
	"slices"
	"sync"
	"time"
)

// latencies is what light workers note while something is measured.
type latencies struct {
	mu      sync.Mutex
	acks    []time.Duration // from the sealing of a batch to its ack at the worker
	last    time.Time       // of the last ack
	bytes   int64           // of the batches sealed
	sealed  int64
	idled   int64 // seconds without a lease
	refusal map[string]int
}

func (l *latencies) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acks, l.bytes, l.sealed, l.idled, l.refusal = nil, 0, 0, 0, map[string]int{}
}

func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acks, l.last = append(l.acks, d), time.Now()
}

func (l *latencies) batch(bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sealed, l.bytes = l.sealed+1, l.bytes+int64(bytes)
}

func (l *latencies) idle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.idled++
}

func (l *latencies) refused(why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refusal == nil {
		l.refusal = map[string]int{}
	}
	l.refusal[why]++
}

func (l *latencies) acked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acks)
}

// quantiles returns the median, the 99th percentile and the maximum of the acks.
func (l *latencies) quantiles() (p50, p99, most time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.acks) == 0 {
		return 0, 0, 0
	}
	slices.Sort(l.acks)
	return l.acks[len(l.acks)/2], l.acks[len(l.acks)*99/100], l.acks[len(l.acks)-1]
}
