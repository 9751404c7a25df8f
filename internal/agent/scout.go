package agent

import (
	"context"
	"fmt"
	"time"

	pb "proofload/proto/proofload/v1"
)

const (
	scoutEvery = 500 * time.Millisecond
	// probeEvery is how often a worker that is relayed tries to reach the leader.
	probeEvery = 10 * time.Second
	// searchEvery is how often a worker whose coordinator leads no more, or does not answer, asks the others.
	searchEvery = 2 * time.Second
	// silentAfter is when a coordinator counts as one that does not answer.
	silentAfter = 3 * time.Second
	// askWait bounds one such question.
	askWait = 2 * time.Second
)

// moveError ends a session that stands, because the worker is better off elsewhere.
type moveError struct {
	leader string // address
	via    string // of a coordinator that reaches the leader if this worker does not
}

// Error says where the worker goes.
func (e *moveError) Error() string { return fmt.Sprintf("the worker goes over to %s", e.leader) }

// scout looks for a better coordinator while the session lasts, and returns a moveError when it has found one:
// the leader itself when another coordinator stands between, and a later leader when this one leads no more
// or is silent. Without anything better the worker stays: a coordinator that is silent may wake up, and a
// caretaker still hears it.
func (s *session) scout(ctx context.Context) error {
	ticker := time.NewTicker(scoutEvery)
	defer ticker.Stop()
	probed, searched := time.Now(), time.Time{}
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
		at := s.link.dial.address()
		switch now := time.Now(); {
		case s.forlorn():
			if now.Sub(searched) < searchEvery {
				continue
			}
			searched = now
			if move := s.search(ctx, at); move != nil {
				return move
			}
		case s.relayed && s.leader != "" && s.leader != at && now.Sub(probed) >= probeEvery:
			probed = now
			if found, err := s.link.dial.ask(ctx, s.leader); err == nil && found.GetLeading() && s.later(found, s.epoch-1) {
				return &moveError{leader: s.leader, via: at}
			}
		}
	}
}

// forlorn reports whether nobody leads at the other end, or nobody answers there.
func (s *session) forlorn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.orphaned || s.link.opts.Clock()-max(s.last.received, s.began) > int64(silentAfter)
}

// search asks the other coordinators for a leader that came after this session's; nil: none is known.
func (s *session) search(ctx context.Context, at string) error {
	for _, address := range s.link.opts.Addresses {
		if address == at {
			continue
		}
		if found, err := s.link.dial.ask(ctx, address); err == nil && found.GetLeader().GetAddress() != "" && s.later(found, s.epoch) {
			return &moveError{leader: found.GetLeader().GetAddress(), via: address}
		}
	}
	return nil
}

// later reports whether a leader of this cluster came after an epoch. Epochs of another one mean nothing.
func (s *session) later(found *pb.FindLeaderResponse, epoch int64) bool {
	return found.GetClusterId() == s.cluster && found.GetLeader().GetEpoch() > epoch
}
