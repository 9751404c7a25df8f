package supervisor

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"proofload/internal/fleet"
	"proofload/internal/metric"
	"proofload/internal/wire"
)

// Caretaker shows the runs of a term that is over, for as long as nobody else conducts them. Samples that
// workers still send are shown, and nothing else comes of them: they are neither committed nor acknowledged,
// and the workers keep them for the next leader. All methods may be called concurrently.
type Caretaker struct {
	since time.Time

	mu    sync.Mutex
	runs  map[string]*runner // their loops have returned: what they hold belongs to the lock now
	seen  map[string]map[metric.Source]uint64
	ended chan struct{}
	once  sync.Once
}

// Caretake begins when Run has returned; since is when the term ended.
func (m *Manager) Caretake(since time.Time) *Caretaker {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &Caretaker{since: since, runs: map[string]*runner{}, seen: map[string]map[metric.Source]uint64{}, ended: make(chan struct{})}
	for _, r := range m.left {
		c.runs[r.id], c.seen[r.id] = r, map[metric.Source]uint64{}
	}
	m.keeping = c
	return c
}

func (m *Manager) caretaker() *Caretaker {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.keeping
}

// End ends the watching: somebody else conducts the runs.
func (c *Caretaker) End() { c.once.Do(func() { close(c.ended) }) }

// received shows what a worker has sealed.
func (c *Caretaker) received(w fleet.Worker, msg wire.Upward) {
	b, ok := msg.(wire.Sealed)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.runs[b.Run]
	if !ok || r.closingBooks || r.final != nil {
		return
	}
	source := metric.Source{Worker: w.Name, Incarnation: b.Incarnation}
	// What came when the term ended may be missing, and is not asked for: the view shows what it can.
	if b.Seq < max(r.ledger.Want(source), c.seen[b.Run][source]+1) {
		return
	}
	decoded, err := r.decode(source, b)
	if err != nil {
		return // the next leader says what is wrong with it
	}
	c.seen[b.Run][source] = b.Seq
	r.view.batch(decoded)
}

// Live returns a run as it is now, or ErrNotLive.
func (c *Caretaker) Live(id string) (wire.RunView, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.runs[id]
	if !ok {
		return wire.RunView{}, fmt.Errorf("run %s: %w", id, ErrNotLive)
	}
	return c.look(r), nil
}

// Active returns the runs, oldest first.
func (c *Caretaker) Active() []wire.RunView {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]wire.RunView, 0, len(c.runs))
	for _, r := range c.runs {
		out = append(out, c.look(r))
	}
	slices.SortFunc(out, func(a, b wire.RunView) int { return strings.Compare(a.Run.ID, b.Run.ID) })
	return out
}

// look is a run as it is now, by the clock that goes on. The lock is held.
func (c *Caretaker) look(r *runner) wire.RunView {
	r.view.update(r)
	v := r.view.snapshot()
	v.Ended, v.CaretakerSince = false, c.since
	if v.ProvisionalSince.IsZero() {
		v.ProvisionalSince = c.since
	}
	return v
}

// Watch follows a run until Close, or until the caretaker ends: then the view says that no more will come.
func (c *Caretaker) Watch(id string) (*CaretakerWatch, error) {
	if _, err := c.Live(id); err != nil {
		return nil, err
	}
	return &CaretakerWatch{c: c, id: id}, nil
}

// CaretakerWatch follows one run of a caretaker. It must not be used concurrently.
type CaretakerWatch struct {
	c    *Caretaker
	id   string
	seen uint64 // events
}

// C is closed when no more will come. Nothing else is told: what changes are numbers, and Next has them
// whenever it is called.
func (w *CaretakerWatch) C() <-chan struct{} { return w.c.ended }

// Next returns the run as it is now, and the events since the last call.
func (w *CaretakerWatch) Next() []wire.Update {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	r := w.c.runs[w.id]
	u := wire.Update{View: w.c.look(r)}
	select {
	case <-w.c.ended:
		u.View.Ended = true
	default:
	}
	r.view.mu.Lock()
	defer r.view.mu.Unlock()
	u.Events, w.seen = r.view.since(w.seen)
	return []wire.Update{u}
}

// Close stops following.
func (w *CaretakerWatch) Close() {}
