package supervisor

import (
	"proofload/internal/metric"
	"proofload/internal/wire"
)

// heldViews is how many views wait for a watcher before it loses the oldest.
const heldViews = 8

// Watcher follows one run. A slow one loses views, and is told how many, but no events of those
// that are kept, whose numbers show what is not; it holds nothing up. It must not be used concurrently.
type Watcher struct {
	view *view
	sub  *metric.Subscription[wire.RunView]
	seen uint64 // events
}

// Watch follows a live run until Close.
func (m *Manager) Watch(id string) (*Watcher, error) {
	r, err := m.live(id)
	if err != nil {
		return nil, err
	}
	return &Watcher{view: r.view, sub: r.view.hub.Subscribe(heldViews)}, nil
}

// C has an element whenever Next may have something new. It is closed when no more will come.
func (w *Watcher) C() <-chan struct{} { return w.sub.C() }

// Next returns the views since the last call, or the run as it is now when there were none, and the
// events since then. The events come with the last view.
func (w *Watcher) Next() []wire.Update {
	views, missed := w.sub.Take()
	w.view.mu.Lock()
	defer w.view.mu.Unlock()
	if len(views) == 0 {
		views = append(views, w.view.snap)
	}
	out := make([]wire.Update, len(views))
	for i, v := range views {
		out[i].View = v
	}
	out[0].Missed = missed
	out[len(out)-1].Events, w.seen = w.view.since(w.seen)
	return out
}

// Close stops following.
func (w *Watcher) Close() { w.sub.Close() }
