// Package calls tests gRPC steps against servers that others wrote: the interoperability server of grpc-go and
// its route guide, as it comes.
package calls
