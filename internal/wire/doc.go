// Package wire translates between the messages of proofload.v1 and the domain, and does nothing
// else: no I/O, no decisions. Both ends of the worker link and the public API use it, so that a
// field has one reading.
package wire

// ProtocolVersion is the version of the worker protocol. Coordinator and worker must agree on it.
const ProtocolVersion = 1

const (
	// MaxMessageBytes bounds one message of the worker link in either direction. A piece of a file is
	// a quarter of a mebibyte.
	MaxMessageBytes = 16 << 20
	// MaxBatchBytes bounds the data of one batch of samples, as MetricsBatch does.
	MaxBatchBytes = 8 << 20
)
