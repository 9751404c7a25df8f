// Package flow executes iterations: it takes the steps of a flow one after the other, puts values
// into their templates, sends the requests, checks and saves what comes back, and reports each
// request to a Sink.
//
// It guarantees:
//
//   - An expectation which cannot be evaluated, and a template or extraction that reads what is not
//     there, is a failure and never a success. A step that was reported as a success has met all
//     its expectations, and its saves and measures have values.
//   - The response time of the first step counts from the iteration's intended start, and that of a
//     later one from the end of the step before it plus the think time: what the machine is late
//     counts.
//   - Each attempt is one request on the wire and one report, a repeated one marked as such.
//   - No value of a secret reaches an error.
//   - A redirect that a target has followed is a request of its own, counted and measured, and leads to targets
//     of the plan alone.
//   - Cookies belong to one user, or to one iteration.
//
// A compiled Program is immutable and may be used
// concurrently; an Iteration belongs to one goroutine and is used again for the next execution.
package flow
