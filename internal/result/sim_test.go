package result

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"proofload/internal/metric"
	"proofload/internal/result/blob"
)

// sim drives production Committers, Ledgers and Outboxes through a random schedule: messages that are lost,
// repeated and overtaken, workers that start again, leaders that are deposed without knowing it, transactions
// that are lost before or after they were applied or come late, and a store that fails.
type sim struct {
	rules
	rnd     *rand.Rand
	cluster *cluster
	blobs   *failingBlobs
	repo    *Repository
	leaders []*simLeader // all that ever were; any but the last is a zombie
	workers []*simWorker
	net     []func(context.Context)  // messages under way
	late    []func() (int64, error)  // transactions under way
	acked   map[metric.Source]uint64 // marks that workers were told
	gaps    bool                     // the run was closed without waiting for all workers
	ending  bool                     // the load is over: nothing more is sealed, and leaders may close the run
	calm    bool                     // no more faults

	sweeping bool
	problem  error // the first
}

// mostUnderWay is how many messages may be on their way; the oldest are lost then.
const mostUnderWay = 60

func newSim(t *testing.T, seed uint64, r rules) *sim {
	t.Helper()
	s := &sim{rules: r, rnd: rand.New(rand.NewPCG(seed, 1)), cluster: newCluster(), acked: map[metric.Source]uint64{}}
	s.blobs = &failingBlobs{Memory: &blob.Memory{}}
	s.blobs.down = func() bool { return s.chance(0.2) }
	s.repo = NewRepository(s.cluster, s.blobs)
	first := s.cluster.elect()
	if _, _, err := NewRepository(s.cluster, s.blobs.Memory).Create(t.Context(), first, newRun("r")); err != nil {
		t.Fatal(err)
	}
	s.cluster.unfenced, s.cluster.blind = r.unfenced, r.blind
	dir := t.TempDir()
	for i := range 3 {
		s.workers = append(s.workers, newSimWorker(s, fmt.Sprintf("w%d", i), filepath.Join(dir, fmt.Sprint(i))))
	}
	return s
}

// run is the whole of one schedule; it returns what went wrong.
func (s *sim) run(ctx context.Context) error {
	defer func() {
		for _, w := range s.workers {
			_ = w.outbox.Close()
		}
	}()
	s.elect(ctx)
	for n := 0; n < 400 && s.problem == nil; n++ {
		s.ending = n > 300
		s.step(ctx)
	}
	if s.problem == nil {
		s.settle(ctx)
	}
	if s.problem == nil {
		s.account(ctx)
	}
	return s.problem
}

// fail notes what is wrong.
func (s *sim) fail(format string, args ...any) {
	if s.problem == nil {
		s.problem = fmt.Errorf(format, args...)
	}
}

// chance is true with probability p, and never in the calm.
func (s *sim) chance(p float64) bool { return !s.calm && s.rnd.Float64() < p }

// last is the leader of the newest term; nil while there is none.
func (s *sim) last() *simLeader {
	if len(s.leaders) == 0 {
		return nil
	}
	return s.leaders[len(s.leaders)-1]
}

// elect makes a new leader, which takes over from the head alone.
func (s *sim) elect(ctx context.Context) {
	l := newSimLeader(ctx, s, s.cluster.elect())
	if l == nil {
		return
	}
	s.leaders = append(s.leaders, l)
	if s.chance(0.5) {
		l.sweep(ctx)
	}
	for _, w := range s.workers {
		if !s.chance(0.3) {
			l.welcome(ctx, w)
		}
	}
}

// step is one random thing that happens.
func (s *sim) step(ctx context.Context) {
	w := s.workers[s.rnd.IntN(len(s.workers))]
	l := s.last()
	if len(s.leaders) > 0 && s.chance(0.25) {
		l = s.leaders[s.rnd.IntN(len(s.leaders))]
	}
	switch n := s.rnd.IntN(100); {
	case n < 3 || l == nil:
		s.elect(ctx)
	case n < 5:
		w.restart(s)
	case n < 9:
		l.welcome(ctx, w)
	case n < 10:
		l.sweep(ctx)
	case n < 12 && s.ending:
		l.close(ctx)
	case n < 17 && len(s.late) > 0:
		s.arrive()
	case n < 35:
		w.seal(s)
	case n < 55:
		w.send(s, l)
	case n < 75:
		for range 1 + s.rnd.IntN(6) {
			s.deliver(ctx)
		}
	default:
		l.commit(ctx)
	}
}

// post puts a message under way.
func (s *sim) post(m func(context.Context)) {
	if s.calm {
		m(context.Background())
		return
	}
	if s.net = append(s.net, m); len(s.net) > mostUnderWay {
		s.net = s.net[1:]
	}
}

// deliver takes any message, which may arrive again later, or never.
func (s *sim) deliver(ctx context.Context) {
	if len(s.net) == 0 {
		return
	}
	i := s.rnd.IntN(len(s.net))
	m := s.net[i]
	if !s.chance(0.2) {
		s.net[i] = s.net[len(s.net)-1]
		s.net = s.net[:len(s.net)-1]
	}
	if !s.chance(0.15) {
		m(ctx)
	}
}

// meanwhile has another leader sweep between the storing of a segment and the transaction that names it.
func (s *sim) meanwhile(ctx context.Context, h *simHeads) {
	if s.sweeping || len(s.leaders) == 0 || !s.chance(0.1) {
		return
	}
	s.sweeping = true
	defer func() { s.sweeping = false }()
	if l := s.leaders[s.rnd.IntN(len(s.leaders))]; l.heads != h {
		l.sweep(ctx)
	}
}

// arrive applies a transaction that was on its way for long.
func (s *sim) arrive() {
	i := s.rnd.IntN(len(s.late))
	_, _ = s.late[i]() // its sender has long given it up
	s.late = append(s.late[:i], s.late[i+1:]...)
}

// settle ends the faults; a last leader commits everything that is left, and closes the run.
func (s *sim) settle(ctx context.Context) {
	s.calm, s.ending = true, true
	for len(s.late) > 0 {
		s.arrive()
	}
	s.elect(ctx)
	l := s.last()
	s.gaps = l.committer.Head().final()
	for n := 0; n < 500 && s.problem == nil && s.held(); n++ {
		for _, w := range s.workers {
			l.welcome(ctx, w)
			w.send(s, l)
		}
		l.commit(ctx)
	}
	l.close(ctx)
	if !l.committer.Head().final() {
		s.fail("the last leader could not close the run")
	}
}

// worker returns one by its name.
func (s *sim) worker(name string) *simWorker {
	return s.workers[slices.IndexFunc(s.workers, func(w *simWorker) bool { return w.name == name })]
}

// held reports whether a worker has something that is not acknowledged.
func (s *sim) held() bool {
	return slices.ContainsFunc(s.workers, func(w *simWorker) bool { return w.outbox.Holds("r") })
}

// account compares what is committed with what the workers sealed, and with what is published.
func (s *sim) account(ctx context.Context) {
	head, err := s.repo.Load(ctx, "r")
	if err != nil {
		s.fail("read the head: %w", err)
		return
	}
	count, total := map[string]int{}, 0
	for segment, err := range s.repo.Segments(ctx, "r", 0) {
		if err != nil {
			s.fail("%w", err) // damage
			return
		}
		for line := range strings.SplitSeq(string(segment.Data), "\n") {
			count[line]++
			total++
		}
	}
	marks := head.Marks.Map()
	for _, w := range s.workers {
		for _, b := range w.sealed {
			s.batch(b, count[b.data], marks[b.Source])
		}
	}
	s.published(ctx)
	if data, err := s.repo.Report(ctx, "r", "md"); err != nil || string(data) != reportOf(total) {
		s.fail("the report says %q, %w, and %d batches are committed", data, err, total)
	}
}

// batch checks what became of one: it is counted once, or in a gap that the record tells of.
func (s *sim) batch(b simBatch, times int, mark uint64) {
	switch {
	case times > 1:
		s.fail("%v is counted %d times", b, times)
	case times == 0 && b.seq <= s.acked[b.Source]:
		s.fail("%v was acknowledged and is lost", b)
	case times == 0 && b.seq <= mark:
		s.fail("%v is lost, and no gap tells of it: the mark is %d", b, mark)
	case times == 0 && !s.gaps:
		s.fail("%v is lost, and the run was closed as whole", b)
	case times == 1 && b.seq > mark:
		s.fail("%v is counted, and the mark says %d", b, mark)
	}
}

// published checks that the fixed names say what is recorded.
func (s *sim) published(ctx context.Context) {
	head, err := s.repo.Load(ctx, "r")
	if err != nil {
		s.fail("read the head: %w", err)
		return
	}
	data, err := s.blobs.Get(ctx, resultKey("r"))
	if errors.Is(err, blob.ErrNotFound) {
		return
	}
	var a archive
	if err := json.Unmarshal(data, &a); err != nil || !head.final() || a.Head.Write != head.Write {
		s.fail("a result of epoch %d is published, the record is %s of epoch %d", a.Head.Epoch, head.Run.State, head.Epoch)
	}
}

// reportOf is what a report says.
func reportOf(batches int) string { return fmt.Sprintf("%d batches", batches) }
