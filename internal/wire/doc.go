// Package wire translates between the messages of proofload.v1 and the domain, and does nothing
// else: no I/O, no decisions. Both ends of the worker link and the public API use it, so that a
// field has one reading.
package wire

// ProtocolVersion is the version of the worker protocol. Coordinator and worker must agree on it.
const ProtocolVersion = 1
