package result

import (
	"time"

	"proofload/internal/run"
)

// Life is what the record of a run keeps of one life of a worker that was given shards: what the next
// leader, and the report, cannot know otherwise.
type Life struct {
	run.Member
	Instance string            `json:"instance,omitempty"` // of the worker's data directory
	Labels   map[string]string `json:"labels,omitempty"`
	Capacity float64           `json:"capacity"`
	Joined   time.Duration     `json:"joined_ns"`
	Lost     *time.Duration    `json:"lost_ns,omitempty"` // run time at which it was given up
	Left     *time.Duration    `json:"left_ns,omitempty"` // run time at which it had handed over all it had
	Leaving  bool              `json:"leaving,omitempty"` // it is to hand over what it has
	Gone     bool              `json:"gone,omitempty"`    // it is known to have stopped
	Skew     *time.Duration    `json:"skew_ns,omitempty"` // how much later than T0 its load began
	Closing  *Closing          `json:"closing,omitempty"` // what it said at its end
}

// Closing is a worker's last word: its last batch, and the sums over all of them.
type Closing struct {
	LastSeq   uint64 `json:"last_seq"`
	Planned   int64  `json:"planned"`
	Sent      int64  `json:"sent"`
	Succeeded int64  `json:"succeeded"`
	Failed    int64  `json:"failed"`
	Requests  int64  `json:"requests"`
}

// Loss is shards that lost their owner, in run time. Until is when others own them; 0: nobody ever did.
type Loss struct {
	run.Member
	Ranges []run.Range   `json:"ranges"`
	At     time.Duration `json:"at_ns"`
	Until  time.Duration `json:"until_ns,omitempty"`
}

// Event is something that happened to a run, and that nothing else in its record tells.
type Event struct {
	Number uint64        `json:"n"` // within the run, from 1
	At     time.Duration `json:"at_ns"`
	Wall   time.Time     `json:"wall"`
	Kind   string        `json:"kind"`
	Detail string        `json:"detail"`
}
