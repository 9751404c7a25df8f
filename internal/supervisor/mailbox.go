package supervisor

import "sync"

// mailbox is an unbounded queue of closures with one taker. What bounds it is that every sender has
// a bound of its own: workers may have a window of un-acked batches outstanding, callers wait.
type mailbox struct {
	mu    sync.Mutex
	queue []func()
	wake  chan struct{} // capacity 1
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

func (m *mailbox) post(fn func()) {
	m.mu.Lock()
	m.queue = append(m.queue, fn)
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *mailbox) take() []func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	q := m.queue
	m.queue = nil
	return q
}
