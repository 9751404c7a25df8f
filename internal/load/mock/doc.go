// Package mock serves stub services on this machine's loopback for the length of a run, so that a
// scenario can be tried without the system that it is for. What an answer says, how long it takes
// and whether it fails is drawn from the run's seed.
package mock
