package metric

import "sync"

// Hub passes values on to subscribers and never waits for one: who is slow loses the oldest values
// and is told how many. All methods may be called concurrently; a hub starts no goroutine.
type Hub[T any] struct {
	mu     sync.Mutex
	subs   map[*Subscription[T]]struct{}
	closed bool
}

// NewHub returns a hub without subscribers.
func NewHub[T any]() *Hub[T] { return &Hub[T]{subs: map[*Subscription[T]]struct{}{}} }

// Publish passes v to every subscriber. After Close it does nothing.
func (h *Hub[T]) Publish(v T) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subs {
		s.put(v)
	}
}

// Close ends all subscriptions; what they have not taken yet remains to be taken.
func (h *Hub[T]) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for s := range h.subs {
		s.end()
	}
	clear(h.subs)
}

// Subscribe returns a subscription that holds at most size values, at least 1, that were not taken
// yet. Of a closed hub it is ended. The caller closes it.
func (h *Hub[T]) Subscribe(size int) *Subscription[T] {
	s := &Subscription[T]{hub: h, size: max(size, 1), wake: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		s.end()
		return s
	}
	h.subs[s] = struct{}{}
	return s
}

// Subscription is one subscriber's share of a hub.
type Subscription[T any] struct {
	hub  *Hub[T]
	size int
	wake chan struct{}

	mu     sync.Mutex
	queue  []T
	missed uint64
	ended  bool
}

// C has an element whenever Take may have something new. It is closed with the subscription.
func (s *Subscription[T]) C() <-chan struct{} { return s.wake }

// Take returns the values since the last call, oldest first, and how many were lost before the first
// of them.
func (s *Subscription[T]) Take() (values []T, missed uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	values, missed = s.queue, s.missed
	s.queue, s.missed = nil, 0
	return values, missed
}

// Close ends the subscription. It may be called more than once.
func (s *Subscription[T]) Close() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	delete(s.hub.subs, s)
	s.end()
}

func (s *Subscription[T]) put(v T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	if len(s.queue) == s.size {
		s.queue = append(s.queue[:0], s.queue[1:]...)
		s.missed++
	}
	s.queue = append(s.queue, v)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Subscription[T]) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.ended = true
		close(s.wake)
	}
}
