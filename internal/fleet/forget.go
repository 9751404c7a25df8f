package fleet

import "time"

// forgetAfter is how long a worker that has gone without a word, and belongs to no run, is shown as away. Where names
// are made up for each start, as by a pool that grows and shrinks, those that never come back would be kept for ever.
const forgetAfter = time.Hour

// forget drops such workers. The lock is held.
func (f *Fleet) forget() {
	now := f.opts.Clock()
	for name, m := range f.members {
		if m.session == nil && m.info.Run == "" && !m.retired && time.Duration(now-m.lastHeard) > forgetAfter {
			delete(f.members, name)
		}
	}
}
