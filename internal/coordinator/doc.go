// Package coordinator assembles a coordinator: store, etcd, election, the worker link, the API and
// the supervisor of runs. It decides nothing; it is a value that is made, run and closed, so that a
// test and the commands use the same thing.
package coordinator
