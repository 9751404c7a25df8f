package wire

import (
	"fmt"
	"slices"
	"time"

	"proofload/internal/run"
	pb "proofload/proto/proofload/v1"
)

// Order identifies a stop that was asked for while nobody could record it; the zero value: it is none.
type Order struct {
	Request string    // identity of the request, under which it is recorded once
	AskedOf string    // name of the coordinator that was asked
	Asked   time.Time // when, on that coordinator's wall clock; a label, but see Lift.Covers
	Lifts   int64     // of a halt of every run: how many had been lifted as far as that coordinator knew
}

// Halt ends the load of a run, whoever passes it on and at any epoch.
type Halt struct {
	Run    string // empty: every run, and no new one begins
	Kind   run.StopKind
	Reason string
	By     string // who asked, of one of every run; workers are not told
	Order
}

// Everything tells whether h ends every run of the cluster.
func (h Halt) Everything() bool { return h.Run == "" }

// Means tells whether h ends a run; the empty id is none.
func (h Halt) Means(id string) bool { return id != "" && (h.Everything() || h.Run == id) }

// Stop is what a worker holds of a halt.
func (h Halt) Stop() Stop { return Stop{Kind: h.Kind, Reason: h.Reason, Order: h.Order} }

// MaxLifted is how many halts are remembered that were lifted.
const MaxLifted = 100

// Lift is the newest lifting of a halt of every run; the zero value: there was none.
type Lift struct {
	Number int64     // how many there were so far
	At     time.Time // on the leader's wall clock, and not before an earlier one
	Of     []string  // requests of the halts that it and earlier ones have lifted, the newest MaxLifted of them
}

// Covers tells whether a halt of every run was lifted already. A request that was lifted is never asked for anew.
// Of others, whoever was asked and knew of this lifting asks for it anew, whatever the clocks say; one that did not
// know goes by the clocks, because nothing else can tell which of the two came first.
func (l Lift) Covers(o Order) bool {
	return slices.Contains(l.Of, o.Request) || o.Lifts < l.Number && !o.Asked.After(l.At)
}

// Passed is how far a stop has come that nobody could record; the lists are names, sorted.
type Passed struct {
	Runs         []string // that those workers executed
	Told         []string // workers that it was passed to
	Stopped      []string // those of them that have confirmed it
	Coordinators []string // that keep it until it is recorded
	Missed       []string // coordinators that could not be reached
	// Recorded is the run as a leader shows it that was among them and has recorded the stop; nil: none has.
	Recorded *pb.Run
	// Halted is the same of a halt of every run.
	Halted *Halted
}

// Halted is a halt of every run that is in force.
type Halted struct {
	Since    time.Time // when it was asked for, on the wall clock of the coordinator that was asked
	Reason   string
	By       string // who asked; empty: it is not known
	AskedOf  string // name of the coordinator that was asked
	Request  string
	Recorded bool // every leader goes by it
}

// String says since when, by whose request and why.
func (h Halted) String() string {
	by := "asked of coordinator " + h.AskedOf
	if h.By != "" {
		by = "asked for by " + h.By + " of coordinator " + h.AskedOf
	}
	return fmt.Sprintf("since %s, %s: %s", h.Since.UTC().Format("2006-01-02 15:04:05Z"), by, h.Reason)
}

// Halted is what is shown of a halt of every run.
func (h Halt) Halted(recorded bool) Halted {
	return Halted{Since: h.Asked, Reason: h.Reason, By: h.By, AskedOf: h.AskedOf, Request: h.Request, Recorded: recorded}
}

// Union returns the names in either list, sorted and once each.
func Union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// Outcome is what became of a halt of every run.
type Outcome struct {
	Passed
	Halted Halted // the one that is in force, which is the first
	Lifted bool   // none is: it was lifted before it could be recorded
	Why    string // it is not recorded; empty: it is
}
