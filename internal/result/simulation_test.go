package result

import (
	"testing"

	"proofload/internal/simulation"
)

// rules are those of the protocol that a simulation can break on purpose, to show that it would notice.
type rules struct {
	unfenced     bool // whoever writes a head is taken for the leader
	blind        bool // a head replaces whatever is there
	marksLate    bool // marks of the time of the transaction instead of the sealing
	marksApart   bool // marks are written behind the segment, in a transaction of their own
	ackEarly     bool // acknowledge before the commit
	ackAll       bool // an acknowledgement is taken for all that was sent, and not for what it names
	resumeEarly  bool // who attaches is told what was received instead of what is committed
	noLedger     bool // count every batch that arrives
	sameLife     bool // a worker that starts again numbers its batches anew under its old incarnation
	publishAlone bool // the result is published whatever becomes of the transaction that closes the run
	closedByTerm bool // a leader whose term is over tells workers that the run is closed
	sweepAll     bool // what no head names is deleted, whoever stored it
}

// TestSimulationLosesAndDoublesNothing: whatever is lost, repeated, overtaken or late, and whoever believes to
// lead, every batch is counted once, and what is published is what is recorded.
func TestSimulationLosesAndDoublesNothing(t *testing.T) {
	simulation.Each(t, 150, func(t *testing.T, seed uint64) {
		if problem := newSim(t, seed, rules{}).run(t.Context()); problem != nil {
			t.Error(problem)
		}
	})
}

// TestSimulationNoticesEachBrokenRule proves that the test above would.
func TestSimulationNoticesEachBrokenRule(t *testing.T) {
	for name, r := range map[string]rules{
		"no fence":                               {unfenced: true},
		"no compare on the head":                 {blind: true},
		"no fence and no compare on the head":    {unfenced: true, blind: true},
		"marks read at the transaction":          {marksLate: true},
		"marks in a second write":                {marksApart: true},
		"acknowledged before commit":             {ackEarly: true},
		"acknowledgement taken for all":          {ackAll: true},
		"resumed by the tentative mark":          {resumeEarly: true},
		"sequence not checked":                   {noLedger: true},
		"next life with the old incarnation":     {sameLife: true},
		"result published outside the fence":     {publishAlone: true},
		"run closed by a leader that is deposed": {closedByTerm: true},
		"swept although it may be committed":     {sweepAll: true},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(100) {
				if problem := newSim(t, seed, r).run(t.Context()); problem != nil {
					t.Logf("seed %d: %v", seed, problem)
					return
				}
			}
			t.Error("the simulation did not notice")
		})
	}
}
