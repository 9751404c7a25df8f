package httpload_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"proofload/internal/load/httpload"
)

// cart is a carrier that knows what it carries.
type cart struct {
	room    int64
	carries atomic.Int64
	gone    atomic.Bool
	left    atomic.Int64
	used    atomic.Int64
}

func (c *cart) Room() int   { return int(c.room) }
func (c *cart) Gone() bool  { return c.gone.Load() }
func (c *cart) Valid() bool { return true }
func (c *cart) Leave()      { c.left.Add(1) }

// carts opens them.
type carts struct {
	room int64
	mu   sync.Mutex
	all  []*cart
}

func (c *carts) open() (*cart, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	one := &cart{room: c.room}
	c.all = append(c.all, one)
	return one, nil
}

// TestGroupUnderway: no carrier has more than it has room for, or anything after it was closed, and each one that
// takes nothing any more is closed, be it with the group's end.
func TestGroupUnderway(t *testing.T) {
	for _, users := range []int{1, 3, 8, 20} {
		var (
			from carts
			g    httpload.Group[*cart]
			wg   sync.WaitGroup
		)
		from.room = 8
		for user := range users {
			wg.Go(func() {
				for i := range 2000 {
					s, _, err := g.Acquire(t.Context(), time.Now().Add(time.Minute), from.open)
					if err != nil {
						t.Error(err)
						return
					}
					if n := s.Conn.carries.Add(1); n > from.room || s.Conn.left.Load() != 0 {
						t.Errorf("it carries %d and was closed %d times", n, s.Conn.left.Load())
					}
					if s.Conn.used.Add(1); user == 0 && i%100 == 99 {
						s.Conn.gone.Store(true)
					}
					s.Conn.carries.Add(-1)
					g.Release(s)
				}
			})
		}
		wg.Wait()
		_ = g.Close()
		if len(from.all) < 20 || len(from.all) > 20*max(1, users/4)+1 {
			t.Errorf("%d users had %d carriers", users, len(from.all))
		}
		for _, c := range from.all {
			if c.left.Load() == 0 {
				t.Errorf("a carrier was not closed after %d requests", c.used.Load())
			}
		}
	}
}

// TestGroupOrder: the carrier that was opened first is filled before the next, and nobody gets one of a group that
// is closed; what is carried then is carried to its end.
func TestGroupOrder(t *testing.T) {
	from := carts{room: 2}
	var g httpload.Group[*cart]
	acquire := func() (*httpload.Seat[*cart], error) {
		s, _, err := g.Acquire(context.Background(), time.Now().Add(time.Minute), from.open)
		return s, err
	}
	var seats []*httpload.Seat[*cart]
	for i := range 5 {
		s, err := acquire()
		if err != nil || s.Conn != from.all[i/2] {
			t.Fatalf("request %d: another carrier, %v", i, err)
		}
		seats = append(seats, s)
	}
	g.Release(seats[1])
	g.Release(seats[4])
	if s, err := acquire(); err != nil || s != seats[0] {
		t.Errorf("the first one has room, and another one is filled, %v", err)
	}
	_ = g.Close()
	if _, err := acquire(); err == nil {
		t.Error("a closed group gives a carrier")
	}
	if from.all[0].left.Load() != 0 || from.all[2].left.Load() != 1 {
		t.Error("what carries something was closed, or what carries nothing was not")
	}
	g.Release(seats[0])
	g.Release(seats[0])
	if from.all[0].left.Load() != 1 {
		t.Error("what carries nothing any more was not closed")
	}
}
