package result

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"proofload/internal/metric"
	"proofload/internal/result/blob"
	"proofload/internal/run"
)

// rules are the ones of the protocol that a simulation can break on purpose, to show that it would
// notice.
type rules struct {
	marksLate bool // marks of the time of the transaction instead of the sealing
	ackEarly  bool // acknowledge before the commit
	noCompare bool // neither fence nor revision of the head
	noLedger  bool // count every batch that arrives
}

// sim drives production Committers and Ledgers through a random schedule: workers that resend,
// leaders that are deposed without knowing it, transactions that are lost before or after they were
// applied, and a store that fails.
type sim struct {
	rules
	rnd     *rand.Rand
	cluster *cluster
	blobs   *failingBlobs
	leaders []*simLeader // all that ever were; any but the last is a zombie
	workers []*simWorker
	calm    bool // no more faults
	err     error
}

// simWorker keeps what is not acknowledged.
type simWorker struct {
	source metric.Source
	sealed uint64
	outbox map[uint64]bool
}

type simLeader struct {
	term      *term
	committer *Committer
	ledger    *metric.Ledger
	open      []string
	sealed    *Sealed
}

func newSim(seed uint64, r rules) *sim {
	s := &sim{rules: r, rnd: rand.New(rand.NewPCG(seed, 1)), cluster: newCluster()}
	s.blobs = &failingBlobs{Memory: &blob.Memory{}}
	s.blobs.down = func() bool { return s.chance(0.2) }
	for i := range 3 {
		source := metric.Source{Worker: fmt.Sprintf("w%d", i), Incarnation: int64(i)}
		s.workers = append(s.workers, &simWorker{source: source, outbox: map[uint64]bool{}})
	}
	return s
}

// chance is true with probability p, and never in the calm.
func (s *sim) chance(p float64) bool { return !s.calm && s.rnd.Float64() < p }

// elect makes a new leader, which takes over from the head alone.
func (s *sim) elect(ctx context.Context) {
	t := s.cluster.elect()
	c, err := OpenCommitter(ctx, t, s.blobs, "r")
	if err != nil {
		s.err = err
		return
	}
	if rec := c.Head().Run; len(rec.Owed) > 0 && fmt.Sprint(rec.Owed[0].Incarnation) != rec.Reason {
		s.err = fmt.Errorf("head of team %s with the roster of team %d", rec.Reason, rec.Owed[0].Incarnation)
	}
	t.commit = s.lossy
	t.get = func() error {
		if s.chance(0.2) {
			return errNetwork
		}
		return nil
	}
	l := &simLeader{term: t, committer: c, ledger: metric.NewLedger(c.Head().Marks.Map())}
	s.leaders = append(s.leaders, l)
	if _, err := c.Sweep(ctx); err != nil && !errors.Is(err, errNetwork) {
		s.err = err
	}
}

// lossy loses transactions and replies.
func (s *sim) lossy(apply func() (int64, error)) (int64, error) {
	if s.chance(0.15) {
		return 0, errNetwork
	}
	revision, err := apply()
	if s.chance(0.15) {
		return 0, errNetwork
	}
	return revision, err
}

// send delivers one batch of a worker to a leader, in or out of order.
func (s *sim) send(w *simWorker, l *simLeader) {
	if s.chance(0.2) {
		return
	}
	seq := l.ledger.Want(w.source)
	if s.chance(0.3) {
		seq = 1 + s.rnd.Uint64N(w.sealed+1)
	}
	if !w.outbox[seq] {
		return
	}
	if l.ledger.Offer(w.source, seq) == metric.Accept || s.noLedger {
		l.open = append(l.open, fmt.Sprintf("%s/%d", w.source.Worker, seq))
	}
	if s.ackEarly {
		delete(w.outbox, seq)
	}
}

// commit seals what is open, unless a sealed segment waits, and tries to commit it.
func (s *sim) commit(ctx context.Context, l *simLeader) {
	if l.sealed == nil {
		if len(l.open) == 0 {
			return
		}
		l.sealed = &Sealed{Data: []byte(strings.Join(l.open, "\n")), Marks: MarksOf(l.ledger.Seal())}
		l.open = nil
		for range s.rnd.IntN(3) { // more arrives between sealing and transaction
			s.send(s.workers[s.rnd.IntN(len(s.workers))], l)
		}
	}
	if s.marksLate {
		l.sealed.Marks = MarksOf(l.ledger.Seal())
	}
	team := s.rnd.Int64N(3)
	rec := run.Run{ID: "r", State: run.Running, Reason: fmt.Sprint(team), Owed: []run.Member{{Worker: "w", Incarnation: team}}}
	if err := l.committer.Commit(ctx, Update{Segment: l.sealed, Run: rec}); err != nil {
		return
	}
	advanced := l.ledger.Commit(l.sealed.Marks.Map())
	l.sealed = nil
	for _, w := range s.workers {
		s.acknowledge(w, advanced[w.source])
	}
	if l.committer.CheckpointDue() || s.rnd.IntN(10) == 0 {
		_ = l.committer.Checkpoint(ctx, fmt.Appendf(nil, "through %d", l.committer.Head().Next-1)) // a later one makes good for it
	}
}

func (s *sim) acknowledge(w *simWorker, through uint64) {
	if s.chance(0.2) {
		return
	}
	for seq := range w.outbox {
		if seq <= through {
			delete(w.outbox, seq)
		}
	}
}

// step is one random thing that happens.
func (s *sim) step(ctx context.Context) {
	l := s.leaders[len(s.leaders)-1]
	if s.chance(0.25) {
		l = s.leaders[s.rnd.IntN(len(s.leaders))]
	}
	w := s.workers[s.rnd.IntN(len(s.workers))]
	switch n := s.rnd.IntN(100); {
	case n < 30:
		w.sealed++
		w.outbox[w.sealed] = true
	case n < 70:
		s.send(w, l)
	case n < 97:
		s.commit(ctx, l)
	default:
		s.elect(ctx)
	}
}

// settle ends the faults, elects a last leader and commits everything that is left.
func (s *sim) settle(ctx context.Context) {
	s.calm = true
	s.elect(ctx)
	for range 500 {
		for _, w := range s.workers {
			s.send(w, s.leaders[len(s.leaders)-1])
		}
		s.commit(ctx, s.leaders[len(s.leaders)-1])
	}
}

// account compares what is committed with what the workers sealed.
func (s *sim) account(ctx context.Context) (lost, doubled int, err error) {
	repo := NewRepository(s.cluster, s.blobs)
	count := map[string]int{}
	for segment, err := range repo.Segments(ctx, "r", 0) {
		if err != nil {
			return 0, 0, err
		}
		for line := range strings.SplitSeq(string(segment.Data), "\n") {
			count[line]++
		}
	}
	for _, w := range s.workers {
		for seq := uint64(1); seq <= w.sealed; seq++ {
			switch n := count[fmt.Sprintf("%s/%d", w.source.Worker, seq)]; {
			case n == 0:
				lost++
			case n > 1:
				doubled++
			}
		}
	}
	return lost, doubled, nil
}

// simulate runs one schedule.
func simulate(t *testing.T, seed uint64, r rules) (lost, doubled int) {
	t.Helper()
	ctx := t.Context()
	s := newSim(seed, r)
	first := s.cluster.elect()
	if _, _, err := NewRepository(s.cluster, s.blobs).Create(ctx, first, newRun("r")); err != nil {
		t.Fatal(err)
	}
	if r.noCompare {
		s.cluster.lax = true
	}
	s.elect(ctx)
	for range 400 {
		s.step(ctx)
	}
	s.settle(ctx)
	lost, doubled, err := s.account(ctx)
	if s.err != nil || err != nil {
		if r == (rules{}) {
			t.Fatalf("seed %d: %v", seed, errors.Join(s.err, err))
		}
		return lost + 1, doubled // damage that reading noticed
	}
	return lost, doubled
}

func TestSimulationLosesAndDoublesNothing(t *testing.T) {
	seeds := uint64(300)
	if testing.Short() {
		seeds = 30
	}
	for seed := range seeds {
		if lost, doubled := simulate(t, seed, rules{}); lost+doubled > 0 {
			t.Fatalf("seed %d: %d batches lost, %d counted twice", seed, lost, doubled)
		}
	}
}

func TestSimulationNoticesEachBrokenRule(t *testing.T) {
	for name, r := range map[string]rules{
		"marks read at the transaction": {marksLate: true},
		"acknowledged before commit":    {ackEarly: true},
		"nothing compared":              {noCompare: true},
		"sequence not checked":          {noLedger: true},
	} {
		t.Run(name, func(t *testing.T) {
			bad := 0
			for seed := range uint64(40) {
				if lost, doubled := simulate(t, seed, r); lost+doubled > 0 {
					bad++
				}
			}
			t.Logf("%d of 40 schedules went wrong", bad)
			if bad == 0 {
				t.Error("the simulation did not notice")
			}
		})
	}
}
