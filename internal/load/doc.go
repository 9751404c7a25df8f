// Package load is the engine of a worker: it executes the worker's part of a plan. It starts
// iterations of flows at the instants that package schedule computes, records what came of them,
// and says each second whether its own numbers can be trusted.
//
// It guarantees that every arrival of the shards it owns, while its lease lives, is counted exactly
// once, as sent or as not sent with a cause; that an arrival further behind than its phase allows, because
// the machine was busy or the lease was over, is given up and never made up for in a burst; and that no
// work starts after the lease has ended, the context has been cancelled or the run has been halted. Whatever the fleet does, paces and counts
// are the same as those of one worker alone, because they derive from the plan and the history.
//
// It does not know the coordinator: what to do arrives through Apply and SetLease, what happened
// leaves through Seal and Status.
package load
