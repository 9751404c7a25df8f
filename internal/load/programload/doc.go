// Package programload runs programs that generate load by themselves: each execution is one unit, which the
// engine paces.
//
// It guarantees:
//   - A program is executed as it is named, by its absolute path and its arguments, and never through a shell. Of
//     the worker's environment it gets PATH alone.
//   - Execute returns when the program has ended, and then nothing of it is left that can be found: it leads a
//     process group of its own, which is killed when it ends, and on Linux its descendants that have left the
//     group are killed with it. What has cut itself off from it entirely, by two forks and a session of its own,
//     cannot be found.
//   - On Linux the kernel kills the program itself when the worker dies. Its children see their standard streams
//     closed then, and no more.
//   - What a program prints is bounded: lines by their length, what is kept by the caller.
package programload
