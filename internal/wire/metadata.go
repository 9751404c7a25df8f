package wire

// Names of gRPC metadata.
const (
	// MetaRelayedBy marks a call that a coordinator which does not lead passes on to the leader, with that
	// coordinator's name; nobody passes it on again. In the header of an answer it tells the caller.
	MetaRelayedBy = "proofload-relayed-by"
	// MetaDirect marks a call that is not to be passed on: a coordinator that does not lead says who does.
	MetaDirect = "proofload-direct"
	// MetaPassedOn marks a stop that another coordinator passes to all that it knows: whoever gets it passes it
	// to its own workers, and to no other coordinator.
	MetaPassedOn = "proofload-passed-on"
)
