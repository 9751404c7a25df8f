// Package relay lets every coordinator serve what only the leader can answer: it passes calls and streams
// on to the leader, whatever service they are of.
//
// It knows no method. The types of the messages come from their descriptors, and deadline, metadata,
// cancellation, status details, headers and trailers pass in both directions. So what is added to the API
// is relayed without a line here.
//
// It guarantees that a call is passed on once at most: it carries a mark, and a coordinator that gets a
// marked call answers it by itself, if only by saying that it does not lead. It never answers in the
// leader's place. It does not try again: a call that was under way when leadership passed on ends with
// UNAVAILABLE, and whoever made it knows whether it may be repeated.
package relay
