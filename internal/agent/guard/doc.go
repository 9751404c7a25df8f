// Package guard is the process beside a worker that outlives it. The worker holds the only writing end of
// a pipe, the guard the reading end: whatever kills the worker closes the pipe, and then the guard does what
// is left to do for it. Its first duty is the obituary, which tells the coordinator that the worker has
// stopped for certain, so that its shards move at once and not after its lease.
//
// It guarantees that nothing is done for a worker that lives, stopped (SIGSTOP) or not, nor for one that
// has dismissed its guard; that a guard ends with its worker, or a bounded time after it; and that it keeps
// nothing from a restarted worker: it has no lock and no port.
//
// It does not guarantee that the duties are done: whatever kills both processes at once (the end of the
// machine, of a container, of a control group) leaves the leader with the lease alone.
package guard
