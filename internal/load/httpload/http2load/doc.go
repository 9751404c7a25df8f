// Package http2load is the HTTP/2 client that generates load, over TLS and, with prior knowledge, in clear text.
// The compression of headers and all frames but plain headers and data are those of golang.org/x/net/http2;
// connections and streams are its own, because its costs and its instants are those of the load engine.
//
// It guarantees:
//   - One call of Do is one request that the server has taken, at most. Only a request of which the server itself
//     says that it has not looked at it, with a GOAWAY that gives no error, is sent a second time, on another
//     connection, and that once.
//   - A response is a success only if its stream has ended properly and its body has the length announced.
//     Everything else is a *transport.Error with a Kind.
//   - Do returns at the request's timeout or soon after its context has ended, also when the server does not read.
//   - Everything that a server can send is bounded: headers, body, and by the request's timeout the time.
//
// Requests share a connection as far as the server allows streams; only then another one is opened. A session
// has connections of its own.
//
// It does not follow redirects, keep cookies, decompress, accept pushed responses or keep the order of
// priorities.
package http2load
