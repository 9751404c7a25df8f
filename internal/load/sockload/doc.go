// Package sockload is the client of raw TCP, TLS and UDP that generates load: it opens connections, sends
// bytes and awaits those that are expected.
//
// It guarantees:
//   - Every failure is a *transport.Error. What was expected and did not come in time is
//     transport.KindTimeout, which over UDP is also what a lost datagram is.
//   - What is awaited is bounded in bytes and in time; a peer that sends without end is transport.KindBody.
//   - Over TCP bytes have no bounds of their own: what comes behind what was expected, or while the connection is
//     kept, is there for the next expectation. Over UDP each expectation is of one datagram.
//   - A connection that waits costs no goroutine and no timer of the runtime's heap.
package sockload
