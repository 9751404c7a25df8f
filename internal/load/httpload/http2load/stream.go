package http2load

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"

	"proofload/internal/load/httpload"
	"proofload/internal/load/transport"
)

// stream is one exchange. The reader writes into its response, under the connection's lock, until it has
// finished; whoever has called Do waits meanwhile.
type stream struct {
	id      uint32
	resp    *httpload.Response
	discard bool
	head    bool // the request was HEAD

	window int64 // what may be sent; guarded by the connection's lock
	sent   int   // of the body
	more   int64 // bytes written after the first write
	unread int64

	began     bool  // the final header has come
	length    int64 // announced; -1: it was not
	finished  bool
	untouched bool // the server says that it has not looked at the request
	failure   *transport.Error

	done  chan struct{} // gets one value when finished
	stirs chan struct{} // gets one value when a window has opened
	timer *time.Timer
}

var free = sync.Pool{New: func() any {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &stream{done: make(chan struct{}, 1), stirs: make(chan struct{}, 1), timer: t}
}}

func newStream(k *call) *stream {
	st := free.Get().(*stream)
	*st = stream{done: st.done, stirs: st.stirs, timer: st.timer, resp: k.resp, discard: k.req.Discard, head: k.req.Method == "HEAD", length: -1}
	return st
}

// free gives the stream back. The connection must not know it any more.
func (st *stream) free() {
	st.timer.Stop()
	for _, ch := range []chan struct{}{st.done, st.stirs} {
		select {
		case <-ch:
		default:
		}
	}
	st.resp.BytesOut += st.more
	st.resp, st.failure = nil, nil
	free.Put(st)
}

// finish ends the stream. The connection's lock must be held.
func (st *stream) finish(failure *transport.Error) {
	if st.finished {
		return
	}
	st.finished, st.failure = true, failure
	st.resp.End = time.Now()
	st.done <- struct{}{}
}

// stir wakes who waits for a window.
func (st *stream) stir() {
	select {
	case st.stirs <- struct{}{}:
	default:
	}
}

// open reports whether the stream has not ended, which leaves its end to be awaited.
func (st *stream) open() bool { return len(st.done) == 0 }

// await waits for the end of the stream, or for a window as well.
func (st *stream) await(ctx context.Context, k *call, window bool) *transport.Error {
	st.timer.Reset(time.Until(k.limit))
	stirs := st.stirs
	if !window {
		stirs = nil
	}
	select {
	case <-st.done:
		if window { // to be seen by who awaits the end
			st.done <- struct{}{}
		}
		return nil
	case <-stirs:
		return nil
	case <-ctx.Done():
		if time.Now().Before(k.limit) {
			return transport.NewError(opRead, ctx.Err(), transport.KindCancelled)
		}
	case <-st.timer.C:
	}
	return transport.NewError(opRead, context.DeadlineExceeded, transport.KindTimeout)
}

func protocolError(format string, args ...any) *transport.Error {
	return &transport.Error{Kind: transport.KindProtocol, Op: opRead, Err: fmt.Errorf(format, args...)}
}

func lengthError(format string, args ...any) *transport.Error {
	return &transport.Error{Kind: transport.KindLength, Op: opRead, Err: fmt.Errorf(format, args...)}
}

// fields is a header as it is decoded.
type fields struct {
	list   []hpack.HeaderField
	size   int
	beyond bool // it is larger than allowed, and was not kept as a whole
}

func (f *fields) reset() { f.list, f.size, f.beyond = f.list[:0], 0, false }

func (f *fields) add(h hpack.HeaderField) {
	if f.size += int(h.Size()); f.size > httpload.DefaultMaxHeader {
		f.beyond = true
		return
	}
	f.list = append(f.list, h)
}

var errStatus = errors.New("the response has no valid status")

// status returns the status of a header.
func (f *fields) status() (int, error) {
	if len(f.list) == 0 || f.list[0].Name != ":status" {
		return 0, errStatus
	}
	n, err := strconv.Atoi(f.list[0].Value)
	if err != nil || len(f.list[0].Value) != 3 || n < 100 {
		return 0, errStatus
	}
	return n, nil
}

// header takes a header, whose last part has come, and reports whether the stream has ended by it.
func (st *stream) header(f *fields, end bool) (over bool, failure *transport.Error) {
	if f.beyond {
		return true, protocolError("the header is larger than %d bytes", httpload.DefaultMaxHeader)
	}
	if st.began { // a trailer
		if !end {
			return true, protocolError("a header follows the response's header")
		}
		return true, st.complete()
	}
	status, err := f.status()
	if err != nil {
		return true, protocolError("%w", err)
	}
	if status < 200 {
		if end || status == 101 {
			return true, protocolError("status %d ends the response", status)
		}
		return false, nil
	}
	st.began = true
	for i := 1; i < len(f.list); i++ {
		h := &f.list[i]
		if h.Name == "" || h.Name[0] == ':' {
			return true, protocolError("field %q does not belong into a response", h.Name)
		}
		if h.Name == "content-length" {
			n, err := strconv.ParseInt(h.Value, 10, 64)
			if err != nil || n < 0 || st.length >= 0 && st.length != n {
				return true, protocolError("content-length is not a number")
			}
			st.length = n
		}
		st.resp.AddField(h.Name, h.Value)
	}
	st.resp.Status = status
	if end {
		return true, st.complete()
	}
	return false, nil
}

// data takes a part of the body.
func (st *stream) data(p []byte, end bool) (over bool, failure *transport.Error) {
	if !st.began {
		return true, protocolError("a body comes before its header")
	}
	keep := httpload.DefaultKeepBody
	if st.discard {
		keep = 0
	}
	st.resp.AddBody(p, keep)
	if st.resp.BodySize > httpload.DefaultMaxBody {
		return true, &transport.Error{Kind: transport.KindBody, Op: opRead, Err: fmt.Errorf("the body is larger than %d bytes", httpload.DefaultMaxBody)}
	}
	if st.length >= 0 && st.resp.BodySize > st.length && !st.bare() {
		return true, lengthError("the body is longer than its content-length of %d", st.length)
	}
	if end {
		return true, st.complete()
	}
	return false, nil
}

// bare reports whether the response has no body whatever its length says.
func (st *stream) bare() bool { return st.head || st.resp.Status == 304 }

// complete checks a response whose stream has ended.
func (st *stream) complete() *transport.Error {
	st.resp.Truncated = !st.discard && st.resp.BodySize > int64(len(st.resp.Body))
	if st.length >= 0 && st.resp.BodySize != st.length && !st.bare() {
		return lengthError("the body has %d bytes, its content-length is %d", st.resp.BodySize, st.length)
	}
	return nil
}
