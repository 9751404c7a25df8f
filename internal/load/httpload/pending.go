package httpload

import (
	"context"
	"errors"
	"time"

	"proofload/internal/load/transport"
)

// Pending is a request that is sent and received by somebody who does not wait for anything: Send, Receive once the
// receiver was told, and Finish, which waits, if Receive could not do all. The empty one is ready for use, again and
// again, by one goroutine at a time.
type Pending struct {
	Client   *Client            // whose request it is
	Receiver transport.Receiver // who is told when something has come or the time is over

	conn *conn
	call call
}

// errPart says that a response does not end with what has been read of it.
var errPart = errors.New("there is more to come")

// mostDead is how many connections that the server has closed one Send gets rid of: it must not take long.
const mostDead = 4

// Send sends req over an open connection of the client's Collector, and reports whether the request went out. If not,
// nothing was sent, and Do with Request.Collect set is the way: it opens a connection that later requests can use. req
// and resp are the Pending's until the response is complete, and Request.Began must be set.
func (p *Pending) Send(ctx context.Context, req *Request, resp *Response) bool {
	c := p.Client
	if !c.collects(req) || ctx.Err() != nil {
		return false
	}
	own, failure := req.check()
	if failure != nil {
		return false
	}
	resp.reset()
	p.call = call{req: req, resp: resp, own: own, pool: &c.collected, collect: true}
	k := &p.call
	k.now, k.limit = req.Span(ctx)
	now := k.now
	for range mostDead {
		cn := c.idle(ctx, k, now)
		switch {
		case cn == nil:
			return false
		case cn.collected == nil: // the system is short of something
			c.pool.put(cn, now)
			return false
		case cn.dead(now):
			cn.close()
			k.now = time.Time{}
			continue
		}
		c.compose(cn, k)
		if cn.post(k.instant(), k.resp) {
			p.conn = cn
			cn.collected.Expect(p.Receiver)
			return true
		}
		cn.close()
		k.now = time.Time{}
	}
	return false
}

// post writes c.out as far as that goes at once, and reports whether anything was written.
func (c *conn) post(now time.Time, resp *Response) bool {
	c.arm(now)
	n := c.collected.Post(c.out)
	if n == 0 {
		return false
	}
	resp.Sent, resp.BytesOut, c.wrote = now, int64(n), n
	return true
}

// Receive takes in the response, and reports whether that is done; if not, Finish has to be called.
func (p *Pending) Receive() (done bool) {
	cn, k := p.conn, &p.call
	if cn.wrote < len(cn.out) {
		return false
	}
	n := cn.collected.Fetch(cn.buf)
	cn.r, cn.w, cn.in = 0, n, int64(n)
	if n == 0 {
		return false
	}
	cn.whole = true
	keep, failure := p.Client.readResponse(cn, k)
	cn.whole = false
	if failure != nil { // because it is a part, or wrong, which Finish finds again
		cn.r, cn.w, cn.interim, cn.begun = 0, n, 0, time.Time{}
		k.resp.forget()
		return false
	}
	cn.date(k.resp)
	_ = p.Client.settle(cn, k, keep, nil)
	p.conn = nil
	return true
}

// Finish waits for the rest of the response. Its error is like Do's.
func (p *Pending) Finish() error {
	cn, k := p.conn, &p.call
	p.conn = nil
	keep, failure := p.finish(cn)
	if failure = p.Client.settle(cn, k, keep, failure); failure != nil {
		k.resp.End = time.Now()
		return failure
	}
	return nil
}

func (p *Pending) finish(cn *conn) (keep bool, failure *transport.Error) {
	k := &p.call
	if err := cn.write(cn.out[cn.wrote:], &k.resp.BytesOut); err != nil {
		return false, p.Client.rescue(cn, k, cn.unsent(err, k.resp))
	}
	keep, failure = p.Client.readResponse(cn, k)
	cn.date(k.resp)
	return keep, failure
}
