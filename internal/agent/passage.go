package agent

import "time"

// passage is how far one sequence of batches has got in one session. It is a value without a lock or a
// clock: readings, in nanoseconds, are arguments.
type passage struct {
	sent uint64 // highest batch sent
	mark uint64 // highest batch committed

	// The batch that the coordinator asked for last, by refusing one. While held, it is that batch itself
	// which was refused: its bytes stay what they are, so that it goes out again only now and then, and
	// nothing beyond it does, because that would be refused for the gap before it.
	want  uint64
	held  bool
	again int64         // reading before which nothing is sent
	wait  time.Duration // until a held batch is sent the next time
}

const (
	// window is how many batches of one sequence may be sent beyond what is committed, so that a
	// coordinator that cannot commit is not made to hold everything.
	window = 256
	// A batch that was refused is sent again after resendLeast, and after twice the time whenever it is
	// refused again, up to resendMost.
	resendLeast = time.Second
	resendMost  = 30 * time.Second
)

// next returns the first batch to send at a reading and how many may follow one another; 0: none.
func (p *passage) next(now int64) (from uint64, most int) {
	if now < p.again {
		return p.sent + 1, 0
	}
	most = window - int(p.sent-min(p.mark, p.sent))
	if p.held {
		most = min(most, int(p.want-min(p.want, p.sent)))
	}
	return p.sent + 1, max(most, 0)
}

// passed notes that the batches from from through last were sent.
func (p *passage) passed(from, last uint64) {
	if p.sent+1 == from { // a refusal in between may have set it back
		p.sent = last
	}
}

// commit notes that the batches through a mark are committed.
func (p *passage) commit(through uint64) {
	p.mark, p.sent = max(p.mark, through), max(p.sent, through)
	if p.want <= p.mark {
		p.want, p.held, p.again, p.wait = 0, false, 0, 0
	}
}

// refuse sets the sequence back to the batch that the coordinator wants; spoiled says that it refused
// that batch itself. It reports whether there is something to send at once.
func (p *passage) refuse(want uint64, spoiled bool, now int64) (atOnce bool) {
	want = max(want, 1)
	if want <= p.mark || p.held && (want > p.want || want == p.want && !spoiled) {
		return false // overtaken by a commit, or refused only because of the one that is held
	}
	repeated := want == p.want && spoiled == p.held
	atOnce = !spoiled && !repeated && want <= p.sent
	p.sent = min(p.sent, want-1)
	p.want, p.held = want, spoiled
	switch {
	case spoiled && repeated:
		p.wait = min(2*p.wait, resendMost)
		p.again = now + int64(p.wait)
	case spoiled:
		p.wait = resendLeast
		p.again = now + int64(p.wait)
	case !repeated:
		p.again = 0
	case p.again <= now:
		// What had been sent before the sequence was set back is refused too, batch by batch. Each of those
		// answers would have everything sent once more.
		p.again = now + int64(resendLeast)
	}
	return atOnce
}
