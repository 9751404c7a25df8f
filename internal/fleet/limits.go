package fleet

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"proofload/internal/wire"
)

// ServerOptions are what a gRPC server needs to carry worker streams: the bounds on messages both
// ways, so that one that is too large is refused with RESOURCE_EXHAUSTED and both sizes in its text,
// and keepalive, so that a worker whose machine is gone is noticed within 15 s.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.MaxRecvMsgSize(wire.MaxMessageBytes), grpc.MaxSendMsgSize(wire.MaxMessageBytes),
		grpc.InitialWindowSize(1 << 20),
	}
}
