// Package cli is the commands coordinator and worker: it parses, calls, prints and chooses the exit
// code. Whatever it does to runs it does through the public API, here as against a daemon.
package cli
