// Package expression evaluates the ${...} templates and the expressions of a scenario.
//
// It guarantees three things on which a verdict rests:
//
//   - Reading a path, variable, column, index or environment variable that is absent is an
//     AbsentError that names it. It never yields nothing, zero or false. Only has(PATH) and
//     PATH ?? DEFAULT allow it.
//   - Unknown names are found when compiling, with the byte offset and what would be right.
//   - An evaluation ends: it does no I/O, reads no clock, calls no methods, and its steps and the
//     size of what it builds are bounded.
//
// The language is that of github.com/expr-lang/expr, without its optional chaining (which yields
// nothing for what is absent), methods, and the functions that read clocks, time zones or absent
// members. Compiled programs and templates are immutable and safe for concurrent use.
//
// What it does not do: it does not keep secrets out of values. Whoever prints a value that came
// from secret.NAME must remove it.
package expression
