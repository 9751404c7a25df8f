// Package agent is the worker's side of the link to the coordinator: it dials out, registers, keeps
// the session alive, executes the assignment with the load engine, seals one batch of samples per
// second, and keeps every batch until the coordinator says that it is committed.
//
// It guarantees that a sealed batch outlives a broken stream, a dead coordinator and a restart of
// the worker with the same data directory, that it is sent with the same bytes every time, and that
// no new work starts once the lease that the leader granted has run out.
package agent
