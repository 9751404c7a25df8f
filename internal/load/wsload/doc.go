// Package wsload is the WebSocket client that generates load: it opens one connection for each
// conversation, sends and receives messages on it, and closes it. The protocol itself is that of
// github.com/coder/websocket; what is here says when things happened, by what they failed, and keeps a
// connection that waits small.
//
// It guarantees:
//   - A conversation is on one connection, and an opening handshake is sent once.
//   - Every failure is a *transport.Error. A server that refuses to switch protocols is
//     transport.KindHandshake with the status that it answered, one that takes no notice or does not speak HTTP is
//     transport.KindNotSpoken; a connection that the server ended is transport.KindClosed, with its close code if it
//     gave one.
//   - What a server can send is bounded: the head of its answer, each message, and by the caller's limits
//     the time.
//   - While nothing comes, a connection costs no goroutine of its own and no timer of the runtime's heap:
//     its limit is a deadline of the network poller. Pings are answered whenever somebody receives.
//
// It does not compress, follow redirects or send pings of its own.
package wsload
