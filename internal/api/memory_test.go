package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"proofload/internal/run"
	"proofload/internal/wire"
)

// memory is a backend that keeps runs in memory and lets the real state machine decide.
type memory struct {
	mu       sync.Mutex
	runs     map[string]run.Run
	order    []string
	requests map[string]string
	files    map[string][]byte
	follower *follower
	got      []NewRun
	hang     bool // reads wait for their deadline

	takingOver bool // commands come too early
}

func newMemory() *memory {
	return &memory{runs: map[string]run.Run{}, requests: map[string]string{}, files: map[string][]byte{}}
}

func (m *memory) Create(_ context.Context, n NewRun) (wire.RunView, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got = append(m.got, n)
	id, known := m.requests[n.RequestID]
	if !known {
		id = "run-" + strconv.Itoa(len(m.runs)+100)
		m.requests[n.RequestID] = id
		m.runs[id] = run.New(run.Options{ID: id, Name: n.Plan.Name, RequestID: n.RequestID, Seed: n.Plan.Seed, Time: time.Now()})
		m.order = append(m.order, id)
	}
	return wire.RunView{Run: m.runs[id]}, nil
}

func (m *memory) Command(_ context.Context, id string, ev run.Event) (wire.RunView, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.takingOver {
		return wire.RunView{}, fmt.Errorf("run %s: %w", id, ErrTakingOver)
	}
	if ev.Kind == run.ScaleRequested {
		ev.MaxFactor = 2
	}
	ev.Time = time.Now()
	next, _, err := run.Step(m.runs[id], ev)
	if err != nil {
		return wire.RunView{}, err
	}
	m.runs[id] = next
	return wire.RunView{Run: next}, nil
}

func (m *memory) Watch(_ context.Context, id string) (Follower, error) {
	if m.follower == nil {
		return nil, fmt.Errorf("run %s: %w", id, ErrEnded)
	}
	return m.follower, nil
}

func (m *memory) Get(ctx context.Context, id string) (wire.RunView, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hang {
		<-ctx.Done()
		return wire.RunView{}, ctx.Err()
	}
	r, ok := m.runs[id]
	if !ok {
		return wire.RunView{}, fmt.Errorf("run %s: %w", id, ErrNotFound)
	}
	return wire.RunView{Run: r, Ended: r.State.Final()}, nil
}

func (m *memory) List(_ context.Context, q Query) (Page, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var p Page
	for _, id := range slices.Backward(m.order) {
		r := m.runs[id]
		if (q.Token != "" && id >= q.Token) || (len(q.States) > 0 && !slices.Contains(q.States, r.State)) {
			continue
		}
		if len(p.Runs) == q.Limit {
			p.Next = p.Runs[q.Limit-1].Run.ID
			break
		}
		p.Runs = append(p.Runs, wire.RunView{Run: r})
	}
	return p, nil
}

func (m *memory) Delete(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.runs[id]; !ok {
		return fmt.Errorf("run %s: %w", id, ErrNotFound)
	} else if !r.State.Final() {
		return fmt.Errorf("run %s: %w: stop it first", id, ErrActive)
	}
	delete(m.runs, id)
	return nil
}

func (m *memory) Report(_ context.Context, _, format string) ([]byte, error) {
	if format == "" {
		return nil, fmt.Errorf("report: %w", ErrNotFound)
	}
	return bytes.Repeat([]byte(format), 300_000), nil
}

func (m *memory) PutFile(_ context.Context, data []byte) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sum := sha256.Sum256(data)
	digest := hex.EncodeToString(sum[:])
	m.files[digest] = bytes.Clone(data)
	return digest, nil
}

func (m *memory) GetFile(_ context.Context, digest string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if data, ok := m.files[digest]; ok {
		return data, nil
	}
	return nil, fmt.Errorf("file %s: %w", digest, ErrNotFound)
}

func (m *memory) Workers() []Worker {
	return []Worker{
		{Name: "a", State: "free", Labels: map[string]string{"zone": "eu"}, Capacity: 1, Bound: time.Millisecond},
		{Name: "b", State: "busy", Run: "run-100"},
	}
}

func (m *memory) Drain(_ context.Context, name, _ string) error {
	if name == "away" {
		return fmt.Errorf("worker %s: %w", name, ErrNoAnswer)
	}
	if name != "w1" {
		return fmt.Errorf("worker %s: %w", name, ErrNotFound)
	}
	return nil
}

func (m *memory) Status(context.Context) (Status, error) {
	return Status{Leader: wire.Leader{Name: "c1", Address: "here:1", Epoch: 3}, Problems: []string{"something"}}, nil
}

// follower hands out what a test gives it.
type follower struct {
	wake    chan struct{}
	updates chan []wire.Update
	closed  chan struct{}
}

func (f *follower) C() <-chan struct{}  { return f.wake }
func (f *follower) Next() []wire.Update { return <-f.updates }
func (f *follower) Close()              { close(f.closed) }

func running(m *memory, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.runs[id]
	shards := run.ShardMap{Revision: 1, Owners: []run.Owner{{Member: run.Member{Worker: "a", Incarnation: 1}, Ranges: []run.Range{{From: 0, To: run.Positions}}}}}
	for _, ev := range []run.Event{
		{Kind: run.WorkersAssigned, Shards: &shards}, {Kind: run.ValidationOK}, {Kind: run.BarrierReady}, {Kind: run.Started, T0: time.Now()},
	} {
		ev.Time = time.Now()
		var err error
		if r, _, err = run.Step(r, ev); err != nil {
			return err
		}
	}
	m.runs[id] = r
	return nil
}
