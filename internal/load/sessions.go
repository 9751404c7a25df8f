package load

import (
	"errors"
	"iter"
	"sync"

	"proofload/internal/load/flow"
)

// sessions is what the users of closed phases keep between iterations. What they leave behind is closed by
// goroutines of its own: to close a connection may take a while, in which arrivals are due.
type sessions struct {
	mu   sync.Mutex
	kept map[sessionKey]*flow.Session
	left sweeper
}

// sessionKey is a user of a closed phase.
type sessionKey struct {
	phase *phase
	user  int64
}

// of returns what a user keeps.
func (s *sessions) of(ph *phase, user int64) *flow.Session {
	key := sessionKey{ph, user}
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.kept[key]
	if own == nil {
		own = &flow.Session{}
		if s.kept == nil {
			s.kept = map[sessionKey]*flow.Session{}
		}
		s.kept[key] = own
	}
	return own
}

// take returns what a user has kept, and forgets it; nil: nothing.
func (s *sessions) take(ph *phase, user int64) *flow.Session {
	key := sessionKey{ph, user}
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.kept[key]
	delete(s.kept, key)
	return own
}

// close closes everything, also what is left behind already.
func (s *sessions) close() error {
	s.left.wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, own := range s.kept {
		errs = append(errs, own.Close())
	}
	clear(s.kept)
	return errors.Join(errs...)
}

// session returns what the job's user keeps between iterations; nil when there is no such thing.
func (p *flows) session(j *job) *flow.Session {
	if j.user == noUser || !p.program.Sessions() {
		return nil
	}
	return p.users.of(j.phase, j.user)
}

// leave implements leaver.
func (p *flows) leave(ph *phase, user int64) {
	if p.program == nil || !p.program.Sessions() {
		return
	}
	if own := p.users.take(ph, user); own != nil {
		p.users.left.add(func() { closeLeft(own) })
	}
}

// leaveAll implements leaver.
func (p *flows) leaveAll(ph *phase, users iter.Seq[int64]) {
	if p.program == nil || !p.program.Sessions() {
		return
	}
	p.users.left.add(func() {
		for user := range users {
			p.leave(ph, user)
		}
	})
}

func closeLeft(own *flow.Session) { _ = own.Close() } // idle connections: there is nobody to tell

// mostSweeping is how many goroutines a sweeper has: a peer that does not read may hold one up for seconds.
const mostSweeping = 8

// sweeper does, soon, what its callers must not wait for, in any order. The empty one is ready for use.
type sweeper struct {
	mu      sync.Mutex
	todo    []func()
	running int
	wg      sync.WaitGroup
}

// add adds something to do.
func (s *sweeper) add(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.todo = append(s.todo, do)
	if s.running < mostSweeping {
		s.running++
		s.wg.Go(s.sweep)
	}
}

// sweep works off what there is to do.
func (s *sweeper) sweep() {
	for {
		s.mu.Lock()
		n := len(s.todo)
		if n == 0 {
			s.todo = nil
			s.running--
			s.mu.Unlock()
			return
		}
		do := s.todo[n-1]
		s.todo[n-1] = nil
		s.todo = s.todo[:n-1]
		s.mu.Unlock()
		do()
	}
}

// wait waits until all is done. Nothing may be added by others meanwhile.
func (s *sweeper) wait() { s.wg.Wait() }
