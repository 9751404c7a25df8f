// Package scenario is Proofload's scenario language: it parses and validates a scenario file,
// lays one environment over it, and makes it definite as a Plan.
//
// It is pure: files come in through an fs.FS, the environment's variables through a function, and
// nothing here reads a clock, opens a connection or starts a goroutine. Validation reports every
// problem of a file at once, each with its position and what would be right.
//
// What it does not do: it evaluates no template that depends on an iteration (package
// scenario/expression does, on the worker), and it fires nothing.
package scenario

//go:generate go run ./schemagen ../../docs/scenario.schema.json
