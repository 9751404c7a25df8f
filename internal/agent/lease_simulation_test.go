package agent

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"proofload/internal/simulation"
	pb "proofload/proto/proofload/v1"
)

// leaseRules are those of shard leases that a simulation can break on purpose.
type leaseRules struct {
	fromReceipt bool // a lease counts from the receipt of the answer
	followers   bool // whoever receives a heartbeat grants
	pastTenure  bool // a leader grants after its tenure
	early       bool // shards move before the lease can be over
	before      bool // what a worker was silent counts from before the take-over
}

// leaseSim is one worker's production session and lease, with leaders that grant on time that is simulated: every
// message takes between nothing and two seconds, some are lost, and leaders follow each other. The leader that
// leads gives the worker's shards away once its lease cannot be alive. The worker must hold none then.
type leaseSim struct {
	leaseRules
	rnd     *rand.Rand
	now     time.Duration
	agent   *Agent
	session *session
	sent    []*pb.Heartbeat
	queue   []simEvent

	tenure    time.Duration // end of that of the leader which the worker is attached to
	successor time.Duration // when the next one is elected; 0: none is yet
	heard     time.Duration // when the leader that counts heard of the worker last
	cut       time.Duration // until when nothing passes
	moved     bool
}

type simEvent struct {
	at time.Duration
	fn func()
}

const (
	simGrace  = 5 * time.Second
	simMargin = time.Second // beyond the lease, before shards move
)

// heartbeats is a stream that takes them.
type heartbeats struct {
	clientStream
	sim *leaseSim
}

// Send implements the part of a stream that heartbeats use.
func (h heartbeats) Send(m *pb.AttachRequest) error {
	h.sim.sent = append(h.sim.sent, m.GetHeartbeat())
	return nil
}

func newLeaseSim(seed uint64, r leaseRules) *leaseSim {
	s := &leaseSim{leaseRules: r, rnd: rand.New(rand.NewPCG(seed, 3)), now: time.Hour}
	opts := Options{Clock: func() int64 { return int64(s.now) }}
	s.agent = &Agent{opts: opts, change: make(chan struct{}, 1)}
	s.session = &session{link: &link{opts: opts, to: s.agent, outbox: &Outbox{}}, epoch: 5}
	s.tenure, s.heard = s.now+time.Hour, s.now
	return s
}

func (s *leaseSim) after(d time.Duration, fn func()) {
	s.queue = append(s.queue, simEvent{s.now + d, fn})
}

func (s *leaseSim) delay() time.Duration {
	if s.rnd.IntN(3) > 0 {
		return time.Duration(s.rnd.IntN(50)) * time.Millisecond
	}
	return time.Duration(s.rnd.IntN(2000)) * time.Millisecond
}

// run lets twenty seconds pass, in which the leader or the link ends at a random time.
func (s *leaseSim) run() error {
	if end := time.Duration(1+s.rnd.IntN(8)) * time.Second; s.rnd.IntN(2) == 0 {
		s.tenure = s.now + end
		s.successor = s.tenure + 500*time.Millisecond + s.delay() // what the tenure is shorter than the lease by
	} else {
		s.cut = s.now + end
	}
	s.beat()
	for end := s.now + 25*time.Second; s.now < end; s.now += 10 * time.Millisecond {
		for i := 0; i < len(s.queue); i++ {
			if e := s.queue[i]; e.at <= s.now {
				s.queue = append(s.queue[:i], s.queue[i+1:]...)
				e.fn()
				i = -1
			}
		}
		s.lead()
		if s.moved && time.Duration(s.agent.leases.until) > s.now {
			return fmt.Errorf("shards have moved, and the worker's lease lasts for %v", time.Duration(s.agent.leases.until)-s.now)
		}
	}
	return nil
}

// beat sends a heartbeat each second.
func (s *leaseSim) beat() {
	_ = s.session.heartbeat(heartbeats{sim: s})
	h := s.sent[len(s.sent)-1]
	s.after(s.delay(), func() { s.receive(h) })
	s.after(time.Second, s.beat)
}

// broken reports whether nothing passes to the leader any more. A follower may be reached then.
func (s *leaseSim) broken() bool { return s.cut > 0 && s.now >= s.cut }

// receive answers a heartbeat as fleets do.
func (s *leaseSim) receive(h *pb.Heartbeat) {
	lease := simGrace
	switch {
	case s.broken() && !s.followers:
		return
	case !s.broken() && s.now >= s.tenure && !s.pastTenure:
		lease = 0
	case !s.broken() && s.now < s.tenure:
		s.heard = s.now
	}
	reply := &pb.HeartbeatReply{Number: h.GetNumber(), ReceivedNanos: int64(s.now), SentNanos: int64(s.now), Lease: durationpb.New(lease)}
	s.after(s.delay(), func() {
		if s.fromReceipt {
			s.session.beats[reply.GetNumber()] = int64(s.now)
		}
		s.session.replied(reply, int64(s.now))
	})
}

// lead gives the shards away when the worker was silent for long enough.
func (s *leaseSim) lead() {
	heard := s.heard
	if s.successor > 0 {
		if s.now < s.successor {
			return // nobody leads, or the one that does hears of the worker
		}
		if !s.before {
			heard = max(heard, s.successor)
		} else {
			heard = s.successor - simGrace
		}
	}
	margin := simMargin
	if s.early {
		margin = -2 * time.Second
	}
	s.moved = s.moved || s.now >= heard+simGrace+margin
}

// TestLeasesNeverOverlap: no shard is ever fired by two workers, whatever messages are late or lost, and whoever
// believes to lead.
func TestLeasesNeverOverlap(t *testing.T) {
	simulation.Each(t, 500, func(t *testing.T, seed uint64) {
		if problem := newLeaseSim(seed, leaseRules{}).run(); problem != nil {
			t.Error(problem)
		}
	})
}

// TestLeasesNoticeEachBrokenRule proves that the test above would.
func TestLeasesNoticeEachBrokenRule(t *testing.T) {
	for name, r := range map[string]leaseRules{
		"counted from receipt":           {fromReceipt: true},
		"followers extend":               {followers: true},
		"granted after the tenure":       {pastTenure: true},
		"moved before the lease is over": {early: true},
		"silent before the take-over":    {before: true},
	} {
		t.Run(name, func(t *testing.T) {
			const seeds = 200
			bad := 0
			for seed := range uint64(seeds) {
				if newLeaseSim(seed, r).run() != nil {
					bad++
				}
			}
			t.Logf("%d of %d schedules went wrong", bad, seeds)
			if bad == 0 {
				t.Error("the simulation did not notice")
			}
		})
	}
}
