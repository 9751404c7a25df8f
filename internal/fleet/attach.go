package fleet

import (
	"context"
	"fmt"
	"time"

	"proofload/internal/wire"
)

// attach makes s the session of the worker that says hello, ending an older one. It hands out an
// incarnation unless this process has one already.
func (f *Fleet) attach(ctx context.Context, hello wire.Hello, s *session) (Worker, error) {
	incarnation, err := f.incarnation(ctx, hello)
	if err != nil {
		return Worker{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.caretaker || f.closed {
		return Worker{}, ErrTermOver
	}
	f.forget()
	m, err := f.admit(hello)
	if err != nil {
		return Worker{}, err
	}
	if m.session != nil {
		m.session.end(errReplaced)
	}
	if m.info.Incarnation != 0 && m.info.Incarnation != incarnation {
		// Another life of the worker: what the earlier one owned may have moved to others already, and
		// must not be executed a second time.
		m.heed() // that life ends, as it was asked to
		m.assignment, m.lease, m.info.Draining, m.drain, m.info.Run, m.retired = nil, 0, false, drain{}, "", false
	}
	m.session, m.lastHeard, m.clock, m.dead = s, f.opts.Clock(), offsets{}, false
	m.info = Worker{
		Name: hello.Name, Instance: hello.Instance, Nonce: hello.Nonce, Incarnation: incarnation,
		Version: hello.Version, Labels: hello.Labels, Capacity: hello.Capacity, Hostname: hello.Hostname,
		Platform: hello.Platform, CPUs: hello.CPUs, MemoryBytes: hello.MemoryBytes,
		Attached: time.Now(), LastHeard: time.Now(), Run: m.info.Run, Draining: m.info.Draining, Loopback: loopback(ctx), Met: true,
		Unacked: unacked(hello.Outbox),
	}
	m.resume(s.box)
	return m.snapshot(f.opts.Clock()), nil
}

// incarnation returns the number of the worker's present life.
func (f *Fleet) incarnation(ctx context.Context, hello wire.Hello) (int64, error) {
	if hello.Incarnation != 0 && hello.Cluster == f.opts.Cluster && !f.retired(hello) {
		return hello.Incarnation, nil // the same process: handed out by this leader or one before it
	}
	n, err := f.opts.Incarnation(ctx)
	if err != nil {
		return 0, fmt.Errorf("incarnation of worker %s: %w", hello.Name, err)
	}
	return n, nil
}

// holderAlive is how long after its last word a worker still holds its name against another one.
const holderAlive = 10 * time.Second

// retired reports whether the life that a worker introduces itself as has been ended here.
func (f *Fleet) retired(hello wire.Hello) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.members[hello.Name]
	return ok && m.retired && m.info.Incarnation == hello.Incarnation
}

// leaseMargin is how long after its lease a worker that is silent may still be starting something.
const leaseMargin = time.Second

// admit finds or makes the record of the worker. The same name with another data directory is
// another worker: it is refused while the holder lives.
func (f *Fleet) admit(hello wire.Hello) (*member, error) {
	m, ok := f.members[hello.Name]
	if !ok {
		m = &member{}
		f.members[hello.Name] = m
		return m, nil
	}
	if m.info.Instance == "" || m.info.Instance == hello.Instance || m.dead && m.info.Run == "" {
		return m, nil
	}
	alive := max(m.lease+leaseMargin, holderAlive)
	if m.session != nil || time.Duration(f.opts.Clock()-m.lastHeard) < alive {
		return nil, &NameTakenError{Name: hello.Name, HolderHostname: m.info.Hostname, HolderInstance: m.info.Instance}
	}
	return m, nil
}

// detach ends the record's session if it is still s, and reports whether it was. What is gone for good
// and belongs to no run is forgotten: after a goodbye, and after a death, which it reports as well.
func (f *Fleet) detach(s *session, goodbye bool) (w Worker, dead, detached bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.members[s.worker.Name]
	if !ok || m.session != s {
		return s.worker, false, false
	}
	m.session, m.info.Left = nil, goodbye
	if goodbye {
		m.heed()
	}
	w = m.snapshot(f.opts.Clock())
	if w.Run == "" && (goodbye || m.dead) {
		delete(f.members, s.worker.Name)
	}
	return w, m.dead, true
}

// heard notes that a worker lives and takes its clock readings; it returns the lease to grant, and whether
// this coordinator is only the caretaker.
func (f *Fleet) heard(s *session, update func(*member)) (lease time.Duration, caretaker bool) {
	f.with(s.worker.Name, func(m *member) {
		if m.session != s {
			return
		}
		m.lastHeard, m.info.LastHeard = f.opts.Clock(), time.Now()
		if update != nil {
			update(m)
		}
		lease, caretaker = m.lease, f.caretaker
	})
	if caretaker || lease > 0 && !f.opts.Leading() {
		lease = 0
	}
	return lease, caretaker
}
