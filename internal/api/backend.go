package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"proofload/internal/run"
	"proofload/internal/scenario"
	"proofload/internal/wire"
)

var (
	// ErrNotFound says that there is no such run, file or report.
	ErrNotFound = errors.New("not found")
	// ErrActive says that a run has not ended.
	ErrActive = errors.New("run has not ended")
	// ErrEnded says that a run has ended and takes no commands.
	ErrEnded = errors.New("run has ended")
	// ErrNoAnswer says that a worker which a command is for has not confirmed it in time.
	ErrNoAnswer = errors.New("no answer in time")
	// ErrTakingOver says that this coordinator leads, and has not read yet what an earlier one has stored of a run.
	ErrTakingOver = errors.New("it is being taken over from an earlier leader, and the store is slow: ask again")
	// ErrNotLeading says that the term in which a request began is over.
	ErrNotLeading = errors.New("this coordinator leads no more")
)

// NewRun is a scenario that was read and found valid, to be run.
type NewRun struct {
	RequestID    string // the same again returns the run created first
	Plan         *scenario.Plan
	Files        map[string]string // digests of the data files by the name in the scenario
	QueueTimeout time.Duration     // 0: for ever
}

// Conductor is what conducts runs and their workers. Its errors are ErrNotFound, ErrNotLeading, ErrTakingOver, ErrNoAnswer,
// *HaltedError of Create, *run.TransitionError, also for a run that has ended, and others, which are internal.
type Conductor interface {
	// Create records a run and puts it into the queue.
	Create(ctx context.Context, n NewRun) (wire.RunView, error)
	// Command applies a command, whose ID makes it idempotent, and returns the run once it is recorded.
	Command(ctx context.Context, id string, ev run.Event) (wire.RunView, error)
	// Drain asks a worker to leave, and returns once it knows; or is ErrNotFound, or ErrNoAnswer when it is away.
	Drain(ctx context.Context, name, reason string) error
	// Watch follows a live run; ErrEnded when it is not live.
	Watch(ctx context.Context, id string) (Follower, error)
}

// Follower follows one live run. A slow one loses views and is told how many, never events.
type Follower interface {
	// C has an element whenever Next may have something new; it is closed when no more will come.
	C() <-chan struct{}
	// Next returns what is new since the last call, at least one update: the run as it is now.
	Next() []wire.Update
	Close()
}

// Archive is the runs that there are, live or ended.
type Archive interface {
	// Get returns a run by its id, `last` or `last-pass`.
	Get(ctx context.Context, id string) (wire.RunView, error)
	List(ctx context.Context, q Query) (Page, error)
	// Delete removes a run that has ended, or is ErrActive.
	Delete(ctx context.Context, id string) error
	// Report returns a report of a run that has ended; format is json, md, html or xml.
	Report(ctx context.Context, id, format string) ([]byte, error)
}

// Query selects runs.
type Query struct {
	Name   string // of the scenario; empty: any
	States []run.State
	Limit  int
	Token  string // of the page before; empty: the first page
}

// Page is a part of a listing, newest first.
type Page struct {
	Runs []wire.RunView
	Next string // empty: this was the last
}

// Halter passes on stops that nobody can record now, and halts the cluster.
type Halter interface {
	// Halt passes a stop to every worker of the run that can be reached, and to the other coordinators for theirs,
	// and keeps it until it is recorded. An empty AskedOf, and a zero Asked, mean this coordinator and now. An error
	// says that nothing was done.
	Halt(ctx context.Context, h wire.Halt) (wire.Passed, error)
	// HaltAll ends every run and has new ones refused until Unhalt; it passes on like Halt what cannot be recorded
	// soon. Fields of the Order that are empty are filled in as by Halt. An error says that it is neither recorded nor
	// kept here: a leader obeys it for the rest of its term all the same, and others may keep it.
	HaltAll(ctx context.Context, h wire.Halt) (wire.Outcome, error)
	// Unhalt lets runs be created again, and returns what was in force; false: nothing was. It is ErrNotLeading where
	// this coordinator does not lead.
	Unhalt(ctx context.Context, request string) (wire.Halted, bool, error)
}

// Files is the store of scenario and data files by digest.
type Files interface {
	// PutFile stores content and returns its SHA-256 in hex.
	PutFile(ctx context.Context, data []byte) (string, error)
	// GetFile returns content, or ErrNotFound.
	GetFile(ctx context.Context, digest string) ([]byte, error)
}

// Cluster is what FleetService shows.
type Cluster interface {
	Workers() []Worker
	Status(ctx context.Context) (Status, error)
}

// Worker is one worker as the leader knows it.
type Worker struct {
	Name, State, Run, Version, Hostname, Platform string
	Labels                                        map[string]string
	Capacity                                      float64
	CPUs                                          uint32
	MemoryBytes                                   uint64
	Attached, LastHeard                           time.Time
	Bound                                         time.Duration // 0: no estimate yet
	Incarnation                                   int64
	Unacked                                       uint64
}

// Status is the state of the cluster.
type Status struct {
	Leader       wire.Leader
	Coordinators []wire.Leader // all members; Epoch is set for the leader only
	Active       []wire.RunView
	Problems     []string
	Halted       *wire.Halted // nil: the cluster is not halted, as far as is known
}

// Backend is all that a leading coordinator offers to the service.
type Backend struct {
	Conductor Conductor
	Archive   Archive
	Files     Files
	Cluster   Cluster
}

// Caretaker is what a coordinator shows whose term is over, while no other leader is known.
type Caretaker struct {
	Backend *Backend // only what reads is asked
	Since   time.Time
}

// HaltedError refuses a run because the cluster is halted.
type HaltedError struct{ wire.Halted }

func (e *HaltedError) Error() string {
	return fmt.Sprintf("the cluster is halted %s; no run begins until `coordinator unhalt`", e.Halted)
}

// notLeadingError is the answer of a coordinator that does not lead.
type notLeadingError struct {
	leader wire.Leader
	since  time.Time // since when this coordinator is a caretaker; zero: it is none
}

func (e *notLeadingError) Error() string {
	switch {
	case !e.since.IsZero():
		return fmt.Sprintf("this coordinator leads no more since %s and takes no commands, and no other leader is known: try again in a few seconds", e.since.UTC().Format("15:04:05Z"))
	case e.leader.Address == "":
		return "this coordinator does not lead, and no leader is known: try again in a few seconds"
	}
	return fmt.Sprintf("this coordinator does not lead: ask %s at %s", e.leader.Name, e.leader.Address)
}
