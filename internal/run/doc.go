// Package run is the state machine of one run and the arithmetic of its clock.
//
// It is pure: Step takes a run and an event and returns the next run with the effects to carry
// out; time arrives in the event. Nothing here does I/O, reads a clock or starts a goroutine.
package run
