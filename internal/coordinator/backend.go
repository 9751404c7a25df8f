package coordinator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/oklog/ulid/v2"

	"proofload/internal/api"
	"proofload/internal/fleet"
	"proofload/internal/result"
	"proofload/internal/result/blob"
	"proofload/internal/run"
	"proofload/internal/supervisor"
	"proofload/internal/wire"
)

// files is the store of scenario and data files.
type files struct{ blobs blob.Store }

// PutFile implements api.Files.
func (f files) PutFile(ctx context.Context, data []byte) (string, error) {
	ref, err := blob.PutFile(ctx, f.blobs, data)
	return ref.SHA256, err
}

// GetFile implements api.Files.
func (f files) GetFile(ctx context.Context, digest string) ([]byte, error) {
	data, err := blob.GetFile(ctx, f.blobs, digest)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, api.ErrNotFound // which file, says whoever asks
	}
	return data, err
}

// backend is what one term offers to the API.
type backend struct {
	coordinator *Coordinator
	manager     *supervisor.Manager
	fleet       *fleet.Fleet
	repository  *result.Repository
	heads       result.Heads
	files       files
	leader      wire.Leader
	halting     *halting
}

// Create implements api.Conductor.
func (b *backend) Create(ctx context.Context, n api.NewRun) (wire.RunView, error) {
	if h, ok := b.halting.halted(); ok {
		return b.created(ctx, n.RequestID, h)
	}
	data, err := n.Plan.Encode()
	if err != nil {
		return wire.RunView{}, err
	}
	digest, err := b.files.PutFile(ctx, data)
	if err != nil {
		return wire.RunView{}, err
	}
	rec, err := b.manager.Create(ctx, supervisor.Accepted{
		ID: ulid.Make().String(), RequestID: n.RequestID, Plan: n.Plan, PlanDigest: digest,
		Files: n.Files, QueueTimeout: n.QueueTimeout,
	})
	if err != nil {
		return wire.RunView{}, err
	}
	b.halting.enforceNow() // the halt may have come meanwhile
	if v, err := b.manager.Live(rec.ID); err == nil {
		return v, nil // also of a repeated request, whose plan may be another one
	}
	return view(rec), nil
}

// created answers a request for a run while the cluster is halted: only one that was carried out before it was.
func (b *backend) created(ctx context.Context, request string, h wire.Halted) (wire.RunView, error) {
	id, err := b.repository.Requested(ctx, request)
	if errors.Is(err, result.ErrNotFound) {
		return wire.RunView{}, &api.HaltedError{Halted: h}
	}
	if err != nil {
		return wire.RunView{}, err
	}
	return b.Get(ctx, id)
}

// Command implements api.Conductor.
func (b *backend) Command(ctx context.Context, id string, ev run.Event) (wire.RunView, error) {
	rec, err := b.manager.Command(ctx, id, ev)
	if errors.Is(err, supervisor.ErrNotLive) {
		return wire.RunView{}, fmt.Errorf("run %s: %w", id, api.ErrNotFound)
	}
	if errors.Is(err, supervisor.ErrTakingOver) {
		return wire.RunView{}, fmt.Errorf("run %s: %w", id, api.ErrTakingOver)
	}
	if errors.Is(err, supervisor.ErrElsewhere) {
		return wire.RunView{}, fmt.Errorf("%w: %w", api.ErrNotLeading, err)
	}
	if err != nil {
		return wire.RunView{}, err
	}
	if v, err := b.manager.Live(id); err == nil {
		v.Run = rec
		return v, nil
	}
	return view(rec), nil
}

// Watch implements api.Conductor.
func (b *backend) Watch(_ context.Context, id string) (api.Follower, error) {
	w, err := b.manager.Watch(id)
	if errors.Is(err, supervisor.ErrNotLive) {
		return nil, fmt.Errorf("run %s: %w", id, api.ErrEnded)
	}
	if err != nil {
		return nil, err
	}
	return w, nil
}

// Get implements api.Archive.
func (b *backend) Get(ctx context.Context, id string) (wire.RunView, error) {
	id, err := resolve(ctx, b.repository, id)
	if err != nil {
		return wire.RunView{}, err
	}
	if v, err := b.manager.Live(id); err == nil {
		return v, nil
	}
	head, err := b.repository.Load(ctx, id)
	if err != nil {
		return wire.RunView{}, notFound(id, err)
	}
	return view(head.Run), nil
}

// view is a run that is not live.
func view(rec run.Run) wire.RunView {
	v := wire.RunView{Run: rec, Elapsed: rec.Elapsed, Paused: rec.Paused, Ended: true}
	for _, m := range rec.Owed {
		v.Workers = append(v.Workers, m.Worker)
	}
	return v
}

// resolve turns `last` and `last-pass` into an id.
func resolve(ctx context.Context, r *result.Repository, id string) (string, error) {
	q := result.Query{Limit: 1}
	switch id {
	case "last":
	case "last-pass":
		q.Results = []run.Result{run.Pass}
	default:
		return id, nil
	}
	page, err := r.List(ctx, q)
	if err != nil {
		return "", err
	}
	if len(page.Runs) == 0 {
		return "", fmt.Errorf("run %s: %w: there is none yet", id, api.ErrNotFound)
	}
	return page.Runs[0].ID, nil
}

// List implements api.Archive.
func (b *backend) List(ctx context.Context, q api.Query) (api.Page, error) {
	page, err := b.repository.List(ctx, result.Query{Name: q.Name, States: q.States, Limit: q.Limit, Token: q.Token})
	if err != nil {
		return api.Page{}, err
	}
	out := api.Page{Next: page.Next}
	for _, rec := range page.Runs {
		if v, err := b.manager.Live(rec.ID); err == nil {
			out.Runs = append(out.Runs, v)
			continue
		}
		out.Runs = append(out.Runs, view(rec))
	}
	return out, nil
}

// Delete implements api.Archive.
func (b *backend) Delete(ctx context.Context, id string) error {
	id, err := resolve(ctx, b.repository, id)
	if err != nil {
		return err
	}
	if v, err := b.manager.Live(id); err == nil && v.Run.State.Final() {
		return fmt.Errorf("run %s: %w: its reports are being written, try again in a moment", id, api.ErrActive)
	}
	err = b.repository.Delete(ctx, b.heads, id)
	if errors.Is(err, result.ErrActive) {
		return fmt.Errorf("run %s: %w: stop it first", id, api.ErrActive)
	}
	return notFound(id, err)
}

// Report implements api.Archive.
func (b *backend) Report(ctx context.Context, id, format string) ([]byte, error) {
	id, err := resolve(ctx, b.repository, id)
	if err != nil {
		return nil, err
	}
	data, err := b.repository.Report(ctx, id, format)
	if errors.Is(err, result.ErrNotFound) {
		// Asked in this order because a run stays live for a moment after its report is there.
		if _, live := b.manager.Live(id); live == nil {
			return nil, fmt.Errorf("run %s: %w: its report is made at the end", id, api.ErrActive)
		}
	}
	return data, notFound(id, err)
}

// notFound says what is missing once, and what to do.
func notFound(id string, err error) error {
	if errors.Is(err, result.ErrNotFound) {
		return fmt.Errorf("run %s: %w: `runs list` shows which there are", id, api.ErrNotFound)
	}
	return err
}

// Workers implements api.Cluster.
func (b *backend) Workers() []api.Worker {
	var out []api.Worker
	for _, w := range b.fleet.Workers() {
		out = append(out, api.Worker{
			Name: w.Name, State: workerState(w), Run: w.Run, Version: w.Version, Hostname: w.Hostname, Platform: w.Platform,
			Labels: w.Labels, Capacity: w.Capacity, CPUs: w.CPUs, MemoryBytes: w.MemoryBytes,
			Attached: w.Attached, LastHeard: w.LastHeard, Bound: w.Bound, Incarnation: w.Incarnation, Unacked: w.Unacked,
		})
	}
	return out
}

// Drain implements api.Conductor.
func (b *backend) Drain(ctx context.Context, name, reason string) error {
	err := b.fleet.Drain(ctx, name, reason)
	switch {
	case errors.Is(err, fleet.ErrUnknownWorker):
		return fmt.Errorf("worker %s: %w: `workers list` shows which there are", name, api.ErrNotFound)
	case errors.Is(err, fleet.ErrTermOver):
		return api.ErrNotLeading
	case errors.Is(err, fleet.ErrUnheard):
		return fmt.Errorf("%w: %w", api.ErrNoAnswer, err)
	}
	return err
}

// workerState names what a worker is doing.
func workerState(w fleet.Worker) string {
	switch {
	case !w.Connected:
		return "lost"
	case w.Draining:
		return "draining"
	case w.Run != "":
		return "busy"
	}
	return "free"
}

// Status implements api.Cluster.
func (b *backend) Status(ctx context.Context) (api.Status, error) {
	s := api.Status{Leader: b.leader, Active: b.manager.Active()}
	if h, ok := b.halting.halted(); ok {
		s.Halted = &h
	}
	s.Coordinators, s.Problems = b.coordinator.troubles(ctx)
	if len(s.Coordinators) == 0 {
		s.Coordinators = []wire.Leader{b.leader} // it has led since before it read who else is there
	}
	for _, v := range s.Active {
		if !v.ProvisionalSince.IsZero() {
			s.Problems = append(s.Problems, fmt.Sprintf("run %s: nothing could be committed since %s; its numbers are provisional", v.Run.ID, v.ProvisionalSince.UTC().Format("15:04:05Z")))
		}
	}
	for _, id := range b.manager.Unread() {
		s.Problems = append(s.Problems, fmt.Sprintf("run %s is being taken over from an earlier leader: the store has not told yet what it has of it; the load goes on", id))
	}
	return s, nil
}

// Resolve turns `last` and `last-pass` into an id.
func Resolve(ctx context.Context, r *result.Repository, id string) (string, error) {
	full, err := resolve(ctx, r, id)
	if errors.Is(err, api.ErrNotFound) {
		return "", fmt.Errorf("%w: %w", result.ErrNotFound, err)
	}
	return full, err
}

// ErrNoStore says that a directory holds no store.
var ErrNoStore = errors.New("there is no store")

// OpenStore opens a store without a coordinator; close releases it. For writing no coordinator may have
// it open, and in an object store nothing tells whether one has: that is blob.ErrInUse.
func OpenStore(ctx context.Context, location string, write bool) (r *result.Repository, closeStore func() error, err error) {
	l, err := blob.ParseLocation(location)
	if err != nil {
		return nil, nil, fmt.Errorf("--store: %w", err)
	}
	if !l.Object() && !isStore(l.Dir) {
		return nil, nil, fmt.Errorf("%w in %s", ErrNoStore, l.Dir)
	}
	blobs, err := blob.Open(ctx, l, blob.OpenOptions{ReadOnly: !write, Alone: write})
	if err != nil {
		return nil, nil, err
	}
	return result.NewRepository(nil, blobs), blobs.Close, nil
}

// isStore tells whether a directory has been a store: each has at least one of these.
func isStore(dir string) bool {
	for _, name := range []string{"results", "files", ".tmp"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.IsDir() {
			return true
		}
	}
	return false
}
