package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"proofload/internal/fleet"
	"proofload/internal/judge"
	"proofload/internal/metric"
	"proofload/internal/result"
	"proofload/internal/run"
	"proofload/internal/scenario"
)

// runner conducts one run. Everything below the mailbox belongs to the goroutine in loop.
type runner struct {
	m    *Manager
	id   string
	log  hclog.Logger
	plan *scenario.Plan
	mail *mailbox
	view *view
	done chan struct{}   // closed when loop has returned and the manager has forgotten the runner
	ctx  context.Context // of the loop, for what it starts in the background

	// The record, and its way to the store.
	run          run.Run
	stored       run.Run // the record as it was committed last: what is shown
	facts        result.Facts
	committer    *result.Committer // used by one commit at a time
	commits      chan outcome      // capacity 1
	committing   bool
	job          *job // being committed, or to be tried again
	retryAt      int64
	waiting      []waiter     // effects and answers that wait for the record
	dirty        bool         // the record has changed since the last commit was begun
	lastCommit   int64        // when the last one was begun
	duplicates   int64        // discarded by earlier terms
	outage       bool         // the last commit failed, and it was said
	final        *finalResult // the run is over: the next commit closes it
	calling      int          // callbacks that were asked for
	copied       *bool        // the copies of the closed run are made, or were given up
	settling     bool         // nothing is left to do but to note that
	over         bool         // it is closed, and nothing is left to do
	upkeepAt     int64        // no upkeep before
	unswept      bool         // an earlier term may have left objects
	closingBooks bool         // what was committed is being read for the last time
	accepted     int64        // on the manager's clock, less the time for which the run waited in earlier terms

	// The samples.
	ledger     *metric.Ledger
	segment    *metric.Segment
	closer     *metric.Closer
	judge      *judge.Judge
	early      *early            // nil: no criterion aborts
	capacity   *capacity         // nil: the run searches nothing
	sum        *metric.Aggregate // of all that is committed; the commit in the background adds to it
	lastWhole  int64             // newest second that was closed
	series     map[metric.Key]struct{}
	refused    map[metric.Source]uint64        // the batch refused last
	covered    time.Duration                   // how far the schedule was executed, by what has arrived
	reached    map[metric.Source]time.Duration // the same of each source
	inherited  map[metric.Source]*metric.Part  // what earlier terms have committed, by source
	rebuilding *rebuilding                     // nil: everything committed is judged as it becomes whole

	// The workers.
	crew      map[string]*hand            // by name: the present life of each
	names     []string                    // of the crew, in order, as crewNames returns them
	former    []*hand                     // earlier lives, which are over
	owned     ownership                   // the record's shard map by owner
	recorded  ownership                   // the committed record's
	handings  []*handing                  // shards that are being handed over
	unfit     map[run.Member]unfit        // lives that could not join
	sought    int64                       // when it was last looked for workers that could join
	takeOver  *inheritance                // nil: the run is in hand
	lean      bool                        // the record was too large: what the end does not need is left out of it
	orphaned  bool                        // the workers lived in the process of an earlier leader, and have ended with it
	errand    *errand                     // setup or teardown, while a worker runs it
	t0        *int64                      // start of run time on the manager's clock
	clocks    map[run.Member]run.Interval // where T0 is on the manager's clock, as workers of a run that was taken over say
	told0     *int64                      // T0 as the workers may be told it; nil: it is not recorded yet
	redivided int64                       // when the in-flight caps were last divided
	losses    []loss                      // shards whose owner was lost, in order
	debts     map[metric.Source]debt
	heard     map[metric.Source]int64 // when each last delivered something of what it owes
	launched  int64                   // when this term began to conduct the run
	stopping  int64                   // when the run entered STOPPING, or was found there
	mended    int64                   // when commits succeeded again after an outage
}

// waiter is what happens once the record is committed.
type waiter struct {
	effects []run.Effect
	answer  func(run.Run, error)
}

const (
	tickEvery  = 50 * time.Millisecond
	retryAfter = 500 * time.Millisecond
)

func newRunner(m *Manager, c *result.Committer, plan *scenario.Plan, sum *metric.Aggregate) *runner {
	head := c.Head()
	r := &runner{
		m: m, id: head.Run.ID, log: m.log.With("run_id", head.Run.ID), plan: plan,
		mail: newMailbox(), done: make(chan struct{}),
		run: head.Run, stored: head.Run, facts: head.Facts, committer: c, commits: make(chan outcome, 1),
		accepted: m.opts.Clock() - int64(head.Facts.Waited),
		ledger:   metric.NewLedger(head.Marks.Map()), segment: metric.NewSegment(head.Run.ID),
		closer: metric.NewCloser(head.Facts.JudgedThrough + 1), judge: judge.New(plan), lastWhole: head.Facts.JudgedThrough,
		sum: sum, inherited: map[metric.Source]*metric.Part{}, reached: map[metric.Source]time.Duration{},
		series: map[metric.Key]struct{}{}, refused: map[metric.Source]uint64{},
		unfit: map[run.Member]unfit{}, clocks: map[run.Member]run.Interval{},
		early:  newEarly(plan, head.Run.ID, head.Facts.JudgedThrough+1),
		losses: lossesOf(head.Facts.Losses), debts: map[metric.Source]debt{}, heard: map[metric.Source]int64{},
		stopping: m.opts.Clock(), launched: m.opts.Clock(),
	}
	if plan.Search != nil {
		r.capacity = newCapacity(sum)
	}
	r.crew, r.former = enlist(head, m.opts.Process)
	r.facts.Grace, r.orphaned = plan.Grace, orphaned(head, m.opts.Process)
	for source, p := range sum.Parts {
		r.inherited[source], r.covered, r.reached[source] = p.Clone(), max(r.covered, p.To), p.To
	}
	for key := range sum.Total.Series {
		r.series[key] = struct{}{}
	}
	r.duplicates, r.unswept = head.Facts.Duplicates, head.Epoch < m.opts.Heads.Epoch()
	r.facts.Leaders = append(slices.Clone(r.facts.Leaders), result.Leadership{
		Epoch: m.opts.Leader.Epoch, Coordinator: m.opts.Leader.Name, At: r.now(), Process: m.opts.Process,
	})
	r.view = newView(plan, head)
	r.view.update(r)
	return r
}

// loop conducts the run to its end. It returns nil when the run has ended or ctx has; an error that
// is result.ErrFenced says that the term is over.
func (r *runner) loop(ctx context.Context) error {
	r.ctx = ctx
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	r.resumeEffects()
	for !r.over {
		select {
		case <-r.mail.wake:
			if err := r.work(ticker.C); err != nil {
				return err
			}
		case <-ticker.C:
			r.tick()
		case o := <-r.commits:
			if err := r.committed(o); err != nil {
				return err
			}
		case <-ctx.Done():
			if r.committing {
				<-r.commits
			}
			return nil
		}
		r.pump(ctx)
		r.view.update(r)
	}
	return nil
}

// work takes a few messages, and what has become due meanwhile: however much the workers send, commits go out and
// the clock is looked at.
func (r *runner) work(tick <-chan time.Time) error {
	for _, fn := range r.mail.take(mailAtOnce) {
		fn()
	}
	select {
	case <-tick:
		r.tick()
	default:
	}
	select {
	case o := <-r.commits:
		return r.committed(o)
	default:
		return nil
	}
}

// now returns the run time; 0 before T0 is stamped. That of a run whose clock was lost with an
// earlier term stands still at what was committed last.
func (r *runner) now() time.Duration {
	if r.t0 == nil {
		if c := r.facts.Clock; c != nil {
			return c.Run
		}
		return 0
	}
	return time.Duration(r.m.opts.Clock() - *r.t0)
}

// step applies an event. What must wait for the record waits for the next commit.
func (r *runner) step(ev run.Event) error {
	ev.Time, ev.RunTime = r.m.opts.Wall(), r.now()
	next, effects, err := run.Step(r.run, ev)
	if err != nil {
		r.log.Debug("event refused", "event", ev.Kind, "state", r.run.State, "error", err)
		return err
	}
	if next.State != r.run.State {
		r.log.Info("state changed", "from", r.run.State, "to", next.State, "reason", next.Reason)
		if next.State == run.Stopping {
			r.stopping = r.m.opts.Clock()
			defer r.inHand() // what was to wait for the run time is answered now
			r.noteStop(next.Stop)
		}
	}
	if r.run.State == run.Idle && next.State != run.Idle {
		r.m.queue.leave(r)
	}
	r.run = next
	for _, e := range effects {
		if e.Kind == run.Notify {
			r.owe(e)
		}
	}
	for i, e := range effects {
		if e.Kind == run.Persist {
			r.dirty = true
			r.waiting = append(r.waiting, waiter{effects: effects[i+1:]})
			return nil
		}
		r.effect(e)
	}
	return nil
}

// try applies an event that the run may refuse.
func (r *runner) try(ev run.Event) (applied bool) { return r.step(ev) == nil }

// expect applies an event that the run is to be able to take, and abandons the run if it is not. One
// that is ending may refuse what was begun before its end.
func (r *runner) expect(ev run.Event) (applied bool) {
	err := r.step(ev)
	if err != nil && r.run.State != run.Stopping && !r.run.State.Final() {
		r.abandon(err)
	}
	return err == nil
}

// command applies an operator's event and answers once it is recorded. A repeated one waits for the
// record of the first, which may still be on its way.
func (r *runner) command(ev run.Event, answer func(run.Run, error)) {
	before := r.run.Revision
	if err := r.step(ev); err != nil {
		answer(r.stored, err)
		return
	}
	if r.run.Revision == r.stored.Revision {
		answer(r.stored, nil)
		return
	}
	fresh := r.run.Revision != before
	r.waiting = append(r.waiting, waiter{answer: func(rec run.Run, err error) {
		switch ev.Kind {
		case run.PauseRequested, run.ResumeRequested, run.ScaleRequested:
			if fresh {
				r.view.event(r, eventName(ev.Kind), describe(ev))
			}
		}
		answer(rec, err)
	}})
	r.dirty = true
}

func eventName(k run.EventKind) string {
	switch k {
	case run.PauseRequested:
		return "pause"
	case run.ResumeRequested:
		return "resume"
	}
	return "scale"
}

func describe(ev run.Event) string {
	s := ev.Reason
	if ev.Kind == run.ScaleRequested {
		s = fmt.Sprintf("to %g %% of the plan", ev.Factor*100)
		if ev.Reason != "" {
			s += ": " + ev.Reason
		}
	}
	return s
}

// tick does what is due by time.
func (r *runner) tick() {
	r.checkRebuilt()
	switch r.run.State {
	case run.Idle:
		r.checkQueueTimeout()
	case run.Initializing, run.Running, run.Paused:
		if r.takeOver != nil {
			r.regain()
			return
		}
		r.checkSetup()
		r.checkCrew()
		r.checkHandOver()
		r.seek()
		r.shareCaps()
		r.checkAborts()
		r.checkSearch()
	case run.Stopping:
		r.learnClock()
		r.checkCrew()
		r.checkDrained()
		r.checkTeardown()
	}
}

// seekWorkers reserves workers for a run in IDLE.
func (r *runner) seekWorkers() {
	if r.run.State != run.Idle {
		return
	}
	if halted := r.m.opts.Halted; halted != nil && halted() {
		r.wait("the cluster is halted") // and this run about to be ended, unless the halt is lifted before
		return
	}
	if before := r.m.queue.ahead(r); before != "" {
		r.wait("waiting behind run " + before)
		return
	}
	taken, why := r.m.fleet.Reserve(r.id, r.plan.Workers.Match, r.plan.Workers.Min)
	if why != "" {
		r.wait(why)
		return
	}
	r.hire(taken)
}

// wait notes what a run in IDLE waits for.
func (r *runner) wait(why string) {
	if why != r.run.Reason {
		r.expect(run.Event{Kind: run.Waiting, Reason: why})
	}
}

// hire makes the reserved workers the run's crew. One whose share of the ring rounds to nothing is
// left out: it would owe nothing, and nobody would take what it sends.
func (r *runner) hire(taken []fleet.Worker) {
	shares := make([]share, 0, len(taken))
	for _, w := range taken {
		shares = append(shares, share{run.Member{Worker: w.Name, Incarnation: w.Incarnation}, w.Capacity})
	}
	shards := run.ShardMap{Revision: r.run.Shards.Revision + 1, Owners: divide(shares)}
	for i, w := range taken {
		if len(shards.Ranges(shares[i].member)) == 0 {
			r.view.event(r, "worker", fmt.Sprintf("%s is too small for a part of the load: its capacity is %g", w.Name, w.Capacity))
			continue
		}
		r.crew[w.Name] = &hand{worker: w, member: shares[i].member, joined: r.now(), here: true}
		r.view.event(r, "worker", w.Name+" assigned")
	}
	r.expect(run.Event{Kind: run.WorkersAssigned, Shards: &shards, Reason: fmt.Sprintf("workers assigned: %d", len(r.crew))})
}

// abandon ends a run that cannot go on for a reason inside this program.
func (r *runner) abandon(err error) {
	r.log.Error("run abandoned", "error", err)
	if err := r.step(run.Event{Kind: run.ErrorOccurred, Reason: err.Error(), ExitCode: run.ExitInternal}); err != nil {
		r.log.Error("run not ended", "error", err)
	}
}

// fenced reports whether an error says that the term is over.
func fenced(err error) bool { return errors.Is(err, result.ErrFenced) }
