package httpload

import (
	"sync"
	"time"

	"proofload/internal/load/transport"
)

// lingering is how long a request body that the server has answered early may still be going out
// for the connection to be kept.
const lingering = 50 * time.Millisecond

// exchangeLarge sends a large body while it reads: a server may answer before it has read the
// body, or never read it, and must not block us. The connection is not kept if the body did not go
// out whole.
func (c *Client) exchangeLarge(cn *conn, k *call) (keep bool, failure *transport.Error) {
	cn.extend() // from here on both directions have the exact deadline
	w := upload{conn: cn, body: k.req.Body}
	w.wg.Go(w.run)
	keep, failure = c.readResponse(cn, k)
	cn.date(k.resp)
	whole := w.end(failure == nil)
	k.resp.BytesOut += w.written
	cn.deadline = time.Time{} // end has moved it for writing
	return keep && whole, failure
}

// upload writes a request body while its owner reads.
type upload struct {
	conn    *conn
	body    []byte
	wg      sync.WaitGroup
	written int64
	err     error
}

// run writes the body. Its error is not reported: whatever ends the writing ends the reading, too,
// with an error that says more, or the server has answered and does not want the rest.
func (u *upload) run() {
	n, err := u.conn.net.Write(u.body)
	u.written, u.err = int64(n), err
}

// end waits for run: for a short time if the response is complete, not at all otherwise. It
// reports whether the body went out whole.
func (u *upload) end(answered bool) bool {
	deadline := transport.LongAgo
	if answered {
		deadline = time.Now().Add(lingering)
	}
	_ = u.conn.net.SetWriteDeadline(deadline) // fails only on a closed connection, where writing ends anyway
	u.wg.Wait()
	return u.err == nil
}
