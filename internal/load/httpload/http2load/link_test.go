package http2load_test

import (
	"context"
	"errors"
	"net"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"proofload/internal/load/httpload"
	"proofload/internal/load/httpload/http2load"
	"proofload/internal/load/transport"
)

// taker is a receiver that counts.
type taker struct {
	headers, data int
	ended         bool
	refuse        *transport.Error
}

func (r *taker) Header(_ []hpack.HeaderField, end bool) *transport.Error {
	r.headers++
	r.ended = end
	return r.refuse
}

func (r *taker) Data(p []byte, end bool) *transport.Error {
	r.data += len(p)
	r.ended = end
	return nil
}

func callOf(to http2load.Receiver, timeout time.Duration) *http2load.Call {
	k := &http2load.Call{Request: httpload.Request{Method: "POST", Path: "/a", Body: []byte("body"), Began: time.Now()}, To: to}
	k.Limit = k.Request.Began.Add(timeout)
	return k
}

// takingTurns is a server that allows so many streams at once, and tells of the most that there were.
func takingTurns(t *testing.T, allowed uint32) (s *raw, most *atomic.Int64) {
	t.Helper()
	most = &atomic.Int64{}
	return serveRaw(t, func(p *peer) {
		_ = p.framer.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: allowed})
		var open []uint32
		for {
			f, err := p.framer.ReadFrame()
			if err != nil {
				return
			}
			switch f := f.(type) {
			case *http2.DataFrame:
				if !f.StreamEnded() {
					continue
				}
				open = append(open, f.StreamID)
				most.Store(max(most.Load(), int64(len(open))))
				if len(open) == int(allowed) || f.StreamID > 190 {
					p.ok(open[0], "x")
					open = open[1:]
				}
			case *http2.PingFrame:
				for _, id := range open {
					p.ok(id, "x")
				}
				open = nil
			}
		}
	}), most
}

// TestCallsTakeTurns: calls beyond what the server allows wait, on the one connection, and all have their turn.
func TestCallsTakeTurns(t *testing.T) {
	s, most := takingTurns(t, 1)
	l := newClient(t, s.url()).NewLink()
	first := callOf(&taker{}, time.Minute)
	if err := l.Do(t.Context(), first); err != nil || first.Connect == 0 { // from now on the settings are known
		t.Fatal(err, first.Connect)
	}
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			to := &taker{}
			k := callOf(to, time.Minute)
			if err := l.Do(t.Context(), k); err != nil || to.headers != 1 || to.data != 1 || !to.ended || k.Connect != 0 || k.End.Before(k.Sent) {
				t.Errorf("%v, %+v, %+v", err, to, k)
			}
		})
	}
	wg.Wait()
	if n, conns := most.Load(), s.accepted(); n != 1 || conns != 1 {
		t.Errorf("%d streams at once over %d connections, want 1 over 1", n, conns)
	}
}

// TestTurnsThatNeverCome: a call that waits for its turn ends at its limit, with its context and with its link, and
// was not sent; its turn is another's.
func TestTurnsThatNeverCome(t *testing.T) {
	begun := make(chan uint32, 10)
	answer := make(chan struct{})
	s := serveRaw(t, func(p *peer) {
		_ = p.framer.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
		for id := p.request(); id != 0; id = p.request() {
			begun <- id
			if id == 1 {
				p.ok(id, "x")
				continue
			}
			<-answer
			p.ok(id, "x")
		}
	})
	l := newClient(t, s.url()).NewLink()
	if err := l.Do(t.Context(), callOf(&taker{}, time.Minute)); err != nil {
		t.Fatal(err)
	}
	<-begun
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := l.Do(t.Context(), callOf(&taker{}, time.Minute)); err != nil {
			t.Error(err)
		}
	})
	<-begun // it has the only turn
	k := callOf(&taker{}, 20*time.Millisecond)
	wantKind(t, l.Do(t.Context(), k), transport.KindTimeout)
	if !k.Sent.IsZero() {
		t.Error("it was sent")
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	wantKind(t, l.Do(ctx, callOf(&taker{}, time.Minute)), transport.KindCancelled)
	wg.Go(func() {
		if err := l.Do(t.Context(), callOf(&taker{}, time.Minute)); err != nil {
			t.Error(err)
		}
	})
	close(answer)
	wg.Wait()
	l.Close()
	wantKind(t, l.Do(t.Context(), callOf(&taker{}, time.Minute)), transport.KindCancelled)
}

// TestLinkIsOpenedAgain: after the server has given up the connection, or has closed it.
func TestLinkIsOpenedAgain(t *testing.T) {
	s := serveRaw(t, func(p *peer) {
		id := p.request()
		p.ok(id, "x")
		if p.request() != 0 { // it has not begun with this one
			_ = p.framer.WriteGoAway(id, http2.ErrCodeEnhanceYourCalm, nil)
		}
		p.hang()
	})
	l := newClient(t, s.url()).NewLink()
	for i := range 3 {
		k := callOf(&taker{}, time.Minute)
		if err := l.Do(t.Context(), k); err != nil || k.Connect == 0 {
			t.Errorf("call %d: %v, connect %v", i, err, k.Connect)
		}
	}
	if n := s.accepted(); n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
}

// TestRefusedTwice: what the server refuses goes out again once, and then has failed.
func TestRefusedTwice(t *testing.T) {
	var asked atomic.Int64
	s := serveRaw(t, func(p *peer) {
		for id := p.request(); id != 0; id = p.request() {
			if n := asked.Add(1); n == 2 {
				p.ok(id, "x")
			} else {
				_ = p.framer.WriteRSTStream(id, http2.ErrCodeRefusedStream)
			}
		}
	})
	l := newClient(t, s.url()).NewLink()
	if err := l.Do(t.Context(), callOf(&taker{}, time.Minute)); err != nil {
		t.Error(err)
	}
	wantKind(t, l.Do(t.Context(), callOf(&taker{}, time.Minute)), transport.KindStreamReset)
	if n := asked.Load(); n != 4 {
		t.Errorf("the server was asked %d times, want 4", n)
	}
}

// TestOpeningIsShared: calls wait for one dial, which goes on when the first of them has no more time; one that
// fails fails those who wait, and no others. What the resolver takes is not the target's.
func TestOpeningIsShared(t *testing.T) {
	s := serveRaw(t, func(p *peer) {
		for id := p.request(); id != 0; id = p.request() {
			p.ok(id, "x")
		}
	})
	var dials atomic.Int64
	open := make(chan error)
	c := newClient(t, s.url(), func(o *http2load.Options) {
		o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if n := dials.Add(1); n == 1 {
				httptrace.ContextClientTrace(ctx).DNSStart(httptrace.DNSStartInfo{})
			}
			select {
			case err := <-open:
				if err != nil {
					return nil, err
				}
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
	})
	l := c.NewLink()
	k := callOf(&taker{}, 20*time.Millisecond)
	wantKind(t, l.Do(t.Context(), k), transport.KindResolver)
	if !k.Sent.IsZero() {
		t.Error("it was sent")
	}
	var wg sync.WaitGroup
	var told atomic.Int64
	for range 10 {
		wg.Go(func() {
			k := callOf(&taker{}, time.Minute)
			if err := l.Do(t.Context(), k); err != nil {
				t.Error(err)
			}
			if k.Connect > 0 {
				told.Add(1)
			}
		})
	}
	open <- nil
	wg.Wait()
	if n, m := dials.Load(), told.Load(); n != 1 || m != 1 {
		t.Errorf("%d dials, of which %d calls tell, want 1", n, m)
	}
	other := c.NewLink()
	failed := make(chan error)
	go func() { failed <- other.Do(t.Context(), callOf(&taker{}, time.Minute)) }()
	open <- &net.OpError{Op: "dial", Err: errors.New("no way")}
	wantKind(t, <-failed, transport.KindConnect)
	go func() { failed <- other.Do(t.Context(), callOf(&taker{}, time.Minute)) }()
	for dials.Load() < 3 {
		time.Sleep(time.Millisecond)
	}
	other.Close() // also while it is opened
	wantKind(t, <-failed, transport.KindCancelled)
}

// TestReceiverRefuses: what the receiver finds wrong ends the call, and the server hears of it.
func TestReceiverRefuses(t *testing.T) {
	resets := make(chan http2.ErrCode, 1)
	s := serveRaw(t, func(p *peer) {
		p.header(p.request(), false, ":status", "200")
		for {
			f, err := p.framer.ReadFrame()
			if err != nil {
				return
			}
			if f, ok := f.(*http2.RSTStreamFrame); ok {
				resets <- f.ErrCode
			}
		}
	})
	l := newClient(t, s.url()).NewLink()
	wantKind(t, l.Do(t.Context(), callOf(&taker{refuse: &transport.Error{Kind: transport.KindBody, Err: errors.New("no")}}, time.Minute)), transport.KindBody)
	if code := <-resets; code != http2.ErrCodeCancel {
		t.Errorf("the server hears %s", code)
	}
}
