package httpload

// Idle returns the number of idle connections, the collector's included.
func (c *Client) Idle() int {
	return c.pool.count() + c.collected.count()
}

func (p *pool) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle) - p.head
}

// Recalls reports whether a head is known to a response that has read another one before. More does not come.
func Recalls(before, now string) bool {
	var r Response
	c := conn{buf: []byte(before), w: len(before), whole: true}
	_, _ = c.readHead(&r, DefaultMaxHeader)
	r.reset()
	c = conn{buf: []byte(now), w: len(now), whole: true}
	return c.recall(&r, DefaultMaxHeader)
}
