// Package http3load is the HTTP/3 client that generates load. QUIC and HTTP/3 are those of quic-go; which request
// goes out on which connection, how long it takes and what a failure is called are decided here.
//
// It guarantees what package http2load does: one call of Do is one request on the wire, at most; a success is
// a complete response of the length announced; what a server can send is bounded.
//
// Each connection has a UDP socket, and so a port, of its own. Bytes are those of bodies and of names and values of
// headers: what frames, compression, packets and repetitions make of them is not told by the library.
package http3load
