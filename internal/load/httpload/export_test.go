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
