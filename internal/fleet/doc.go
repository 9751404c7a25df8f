// Package fleet is the coordinator's side of the worker link: it serves Attach, knows every worker,
// reserves workers for runs, and carries messages both ways.
//
// It guarantees that one session lives per worker, that a worker belongs to one run at a time, that
// the newest assignment reaches a worker after every reconnect, and that nothing that a worker does
// or fails to do blocks a run: what is sent to a slow worker is replaced (assignments, acks) or
// bounded by what the worker itself may have outstanding.
//
// It does not decide: what a run needs, when a silent worker's shards move, what is committed. It
// does not survive a change of leadership: every term has its own Fleet.
package fleet
