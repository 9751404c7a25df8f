package load

import "time"

// waiting is a user who waits for an instant.
type waiting struct {
	due   time.Duration // phase time
	ready time.Duration // run time at which its last iteration ended; never: it had none
	user  int64
}

// dueQueue is a heap of users, the one who is due first at its head.
type dueQueue []waiting

// push adds a user.
func (q *dueQueue) push(w waiting) {
	*q = append(*q, w)
	h := *q
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h[i].before(h[up]) {
			return
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

// pop removes the head; the queue must not be empty.
func (q *dueQueue) pop() {
	h := *q
	last := len(h) - 1
	h[0] = h[last]
	h = h[:last]
	*q = h
	for i := 0; ; {
		c := 2*i + 1
		if c >= len(h) {
			return
		}
		if r := c + 1; r < len(h) && h[r].before(h[c]) {
			c = r
		}
		if !h[c].before(h[i]) {
			return
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
}

func (w waiting) before(o waiting) bool {
	if w.due != o.due {
		return w.due < o.due
	}
	return w.user < o.user
}
