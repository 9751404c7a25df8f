package httpload

// Session is connections apart from those that all share, such as those of one user. It must be closed, and
// is used by one request at a time.
type Session interface {
	// Close closes the connections. Requests with the session fail from then on.
	Close() error
}

type session struct{ pool pool }

// NewSession returns a session without connections.
func (c *Client) NewSession() Session { return &session{pool: pool{max: c.opts.MaxIdle}} }

// Close implements Session.
func (s *session) Close() error {
	s.pool.drain(true)
	return nil
}
