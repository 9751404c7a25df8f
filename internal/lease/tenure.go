package lease

import "time"

// Margin is how long before the earliest possible end of its lease a leader stops leading.
const Margin = 500 * time.Millisecond

// tenure is the arithmetic of a lease as seen by its holder. Instants are readings of one
// monotonic clock. It is a value: pure, and safe to copy.
type tenure struct {
	end time.Duration // first instant at which the holder must not act any more
}

// newTenure returns the tenure of a lease of the given TTL whose grant was asked for at sent.
func newTenure(sent, ttl time.Duration) tenure { return tenure{end: sent + ttl - Margin} }

// renew applies the answer to a keepalive that was sent at sent and read at now. An answer that
// comes when the tenure is over changes nothing and returns false: what has ended stays ended,
// because another candidate may have acted in between. Answers out of order never shorten it.
func (t tenure) renew(sent, ttl, now time.Duration) (tenure, bool) {
	if !t.holds(now) {
		return t, false
	}
	t.end = max(t.end, sent+ttl-Margin)
	return t, t.holds(now)
}

// holds tells whether the holder may act at now.
func (t tenure) holds(now time.Duration) bool { return now < t.end }

// left is how long the tenure lasts from now; zero or less when it is over.
func (t tenure) left(now time.Duration) time.Duration { return t.end - now }
