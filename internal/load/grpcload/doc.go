// Package grpcload makes gRPC calls of all four kinds and knows nothing of scenarios. Unary calls, of which most load
// consists, go over the HTTP/2 client that generates load, which costs far less than grpc-go does; streams and
// reflection are grpc-go's, with connections of their own. Messages are bytes in wire form: what is in them is nobody's concern here, so a message
// that never changes is encoded once by whoever sends it, and one that nobody reads is only counted.
//
// It guarantees:
//
//   - A status that the server has sent is an answer, whatever its code is. Without one the call has failed, and
//     the error is a *transport.Error whose kind says why: what a proxy passes on as text is never taken for
//     what happened here.
//   - A call is not repeated, except as the protocol demands of every client: once, when the server has said
//     that it did not begin with it.
//   - Nothing is dialled before the first call, and nothing but the target ever is.
//
// A Client may be used concurrently; a Stream is sent to by one goroutine and received from by another.
package grpcload
