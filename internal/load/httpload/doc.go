// Package httpload is the HTTP/1.1 client that generates load. It exists because the cost of one
// request limits how much load one machine can make, and because a measurement needs to know
// exactly what happened on the wire.
//
// It guarantees:
//   - One call of Do is one request on the wire, at most. A request of which any byte was handed to
//     the operating system is never sent a second time, so what Do counts is what an independent
//     server counts.
//   - A response is a success only if its framing was complete and valid. Everything else is an
//     *transport.Error with a Kind.
//   - A request over a connection that is kept alive allocates nothing, starts no goroutine and
//     costs one write, one read and one probe of the connection.
//   - Everything that a target can send is bounded: head, number of fields, informational
//     responses, chunk lines, trailers, body, and by the request's timeout the time.
//
// It does not follow redirects, keep cookies, decompress, use proxies from the environment,
// pipeline, upgrade connections or speak HTTP/2.
//
// # Connections that the server closes while they are idle
//
// Before a request goes out on a connection that was used before, the connection is probed without
// waiting. If the server has closed it, or has sent bytes that nobody asked for, it is discarded
// and the next one is taken; nothing had been written, so nothing is counted twice. The same holds
// if the first write is refused as a whole. If the server closes the connection in the short time
// between the probe and the arrival of the request, nobody can know whether it has processed the
// request; then Do reports closed or reset with Response.Reused set, and does not send again. To
// make that rare, connections are not reused beyond Options.IdleTimeout or beyond what the server
// announced in its Keep-Alive field, less a margin.
package httpload
