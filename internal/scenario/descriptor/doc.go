// Package descriptor finds the methods of gRPC services in what describes them - .proto files, a descriptor
// set, or what a server says of itself - and translates messages between their wire form and the trees of
// the scenario language. The plan is checked by the same code that the workers send by.
//
// It opens nothing: whoever calls it brings the content of files. A Set is immutable and may be used
// concurrently.
package descriptor
