package coordinator

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// frank adds to the leader's word on the cluster, when this coordinator has passed the question on, that it does not
// reach etcd itself: the leader cannot know, and whoever asked would learn only that a coordinator stands for
// election no more. It stands before the relay.
func (c *Coordinator) frank(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	resp, err := next(ctx, req)
	s, ok := resp.(*pb.GetStatusResponse)
	if !ok || err != nil || s.GetLeader().GetName() == c.opts.Name || len(metadata.ValueFromIncomingContext(ctx, wire.MetaRelayedBy)) > 0 {
		return resp, err
	}
	mine := func(problem string) bool { return strings.HasPrefix(problem, noEtcd(c.opts.Name)) }
	if slices.ContainsFunc(s.GetProblems(), mine) { // it has answered by itself
		return s, nil
	}
	if _, problem := c.candidates(ctx); problem != "" {
		s.Problems = append(s.Problems, problem)
	}
	return s, nil
}
