// Package api is the public service of a coordinator: RunService and FleetService of proofload.v1.
//
// It translates, validates and maps errors to gRPC codes with typed details; what a run does is
// decided behind the interfaces that it declares. A coordinator that does not lead answers
// FAILED_PRECONDITION with the leader's address.
package api
