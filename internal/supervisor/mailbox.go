package supervisor

import "sync"

// mailbox is a queue of closures with one taker. Posting never blocks, because nobody who posts may be held up: the
// session of a worker answers its heartbeats.
//
// Samples, which are most of what comes, are refused when the bytes that wait reach the limit: a worker keeps them
// until they are committed, and sends them again. Of what is only worth its newest content one waits at a time.
// Everything else is small and has no limit of its own: a call or a task adds one closure, and so does each session
// and each final report of a worker. Their number grows only while the taker stands still, as during a write, and by
// no more than its workers can reconnect in that time.
type mailbox struct {
	wake  chan struct{} // capacity 1
	limit int           // bytes

	mu    sync.Mutex
	queue []*item
	slots map[any]*item // of those that wait, what can be replaced
	bytes int           // of those that wait
}

// item is one closure that waits.
type item struct {
	fn    func()
	slot  any // nil: it is not replaced
	bytes int
}

const (
	// mailboxBytes is how many bytes of samples may wait for one run.
	mailboxBytes = 64 << 20
	// mailAtOnce is how many closures a run takes before it looks after its commits and its clock again.
	mailAtOnce = 64
)

func newMailbox() *mailbox {
	return &mailbox{wake: make(chan struct{}, 1), limit: mailboxBytes, slots: map[any]*item{}}
}

// post adds a closure.
func (m *mailbox) post(fn func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add(&item{fn: fn})
}

// offer adds a closure that holds so many bytes of samples, unless too many wait already. One is always taken.
func (m *mailbox) offer(bytes int, fn func()) (taken bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.bytes > 0 && m.bytes+bytes > m.limit {
		return false
	}
	m.add(&item{fn: fn, bytes: bytes})
	return true
}

// replace adds a closure, or puts it in the place of the one of the same slot that still waits.
func (m *mailbox) replace(slot any, fn func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if waiting, ok := m.slots[slot]; ok {
		waiting.fn = fn
		return
	}
	m.add(&item{fn: fn, slot: slot})
}

// follow adds a closure behind which the next one of a slot belongs, whatever of that slot still waits before it: it
// changes what the content means.
func (m *mailbox) follow(slot any, fn func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if waiting, ok := m.slots[slot]; ok {
		waiting.slot = nil
		delete(m.slots, slot)
	}
	m.add(&item{fn: fn})
}

// add is called with the lock held.
func (m *mailbox) add(i *item) {
	m.queue = append(m.queue, i)
	m.bytes += i.bytes
	if i.slot != nil {
		m.slots[i.slot] = i
	}
	m.poke()
}

func (m *mailbox) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// take returns the oldest closures, no more than most of them; wake is ready again if that leaves any.
func (m *mailbox) take(most int) []func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := min(most, len(m.queue))
	out := make([]func(), 0, n)
	for _, i := range m.queue[:n] {
		out = append(out, i.fn)
		m.bytes -= i.bytes
		if i.slot != nil {
			delete(m.slots, i.slot)
		}
	}
	clear(m.queue[:n])
	m.queue = m.queue[n:]
	if len(m.queue) > 0 {
		m.poke()
	}
	return out
}
