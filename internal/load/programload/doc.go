// Package programload runs programs that generate load by themselves: each execution is one unit, which the
// engine paces.
//
// It guarantees:
//   - A program is executed as it is named, by its absolute path and its arguments, and never through a shell. Of
//     the worker's environment it gets PATH alone, and beside its own the variable Mark.
//   - Execute returns when the program has ended, and then nothing is left of the process group that it leads.
//   - On Linux a program that is ended is ended with its descendants, also those that have left the group and those whose
//     parents have ended, which are known by the mark in their environment. One that has lost its parent and cleared its
//     environment, or is another user's, cannot be found.
//   - When a program ends by itself, what has left its group is killed only if it holds standard output or
//     error open: to look at every process takes 1.5 ms where there are 70 and 16 ms where there are 500, and an
//     execution of /bin/sh takes one.
//   - On Linux the kernel kills the program itself when the worker dies. Its children see their standard streams
//     closed then, and no more.
//   - What a program prints is bounded: lines by their length, what is kept by the caller.
package programload
