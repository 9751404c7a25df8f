package supervisor

import "proofload/internal/run"

// callback makes the calls that runs ask for, until over; what was asked for before is still called.
func (m *Manager) callback(over <-chan struct{}) {
	for {
		select {
		case <-m.calls.wake:
		case <-over:
			for _, fn := range m.calls.take() {
				fn()
			}
			return
		}
		for _, fn := range m.calls.take() {
			fn()
		}
	}
}

// notify asks for the callbacks of a run.
func (m *Manager) notify(kind run.CallbackKind, rec run.Run) {
	for _, call := range m.opts.Callbacks {
		m.calls.post(func() { call(kind, rec) })
	}
}
