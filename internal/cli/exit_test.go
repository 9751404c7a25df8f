package cli

import (
	"context"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"proofload/internal/agent"
	"proofload/internal/lease"
	"proofload/internal/lease/embedded"
	"proofload/internal/result/blob"
	"proofload/internal/scenario"
	pb "proofload/proto/proofload/v1"
)

// TestExitCodes holds the codes of results.md against what commands end with.
func TestExitCodes(t *testing.T) {
	notLeading, err := status.New(codes.FailedPrecondition, "no leader is known").WithDetails(&pb.LeaderInfo{})
	if err != nil {
		t.Fatal(err)
	}
	start := func(err error) error { return startError(fmt.Errorf("start: %w", err), "--data-dir", "--store") }
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"no error":                        {nil, 0},
		"state does not allow it":         {status.Error(codes.FailedPrecondition, "not in state PAUSED"), 64},
		"no such run":                     {status.Error(codes.NotFound, "no such run"), 64},
		"wrong request":                   {status.Error(codes.InvalidArgument, "page_size"), 64},
		"mistake and refused target":      {scenario.Problems{{Refused: true}, {}}, 64},
		"no leader known":                 {notLeading.Err(), 69},
		"nobody answers":                  {status.Error(codes.Unavailable, "refused"), 69},
		"no answer in time":               {status.Error(codes.DeadlineExceeded, "late"), 69},
		"a defect":                        {status.Error(codes.Internal, "nil"), 70},
		"refused target":                  {scenario.Problems{{Refused: true}}, 77},
		"refused target, told remotely":   {status.Error(codes.PermissionDenied, "target"), 77},
		"signal":                          {context.Canceled, 130},
		"signal during a call":            {status.Error(codes.Canceled, "context canceled"), 130},
		"start: directory not writable":   {start(embedded.ErrNotWritable), 64},
		"start: store not writable":       {start(blob.ErrNotWritable), 64},
		"start: no such bucket":           {start(blob.ErrNoBucket), 64},
		"start: store overwrites":         {start(blob.ErrUnsuited), 64},
		"start: location of no store":     {start(blob.ErrLocation), 64},
		"start: store does not answer":    {start(blob.ErrUnreachable), 69},
		"start: store denies access":      {start(blob.ErrDenied), 77},
		"start: worker's not writable":    {start(agent.ErrDirNotWritable), 64},
		"start: no such address":          {start(&net.OpError{Op: "listen", Err: syscall.EADDRNOTAVAIL}), 64},
		"start: etcd does not answer":     {start(lease.ErrNoAnswer), 69},
		"start: anything else":            {start(io.ErrUnexpectedEOF), 70},
		"start: address taken":            {start(&net.OpError{Op: "listen", Err: syscall.EADDRINUSE}), 75},
		"start: directory in use":         {start(embedded.ErrInUse), 75},
		"start: worker's in use":          {start(agent.ErrDirInUse), 75},
		"start: worker's name taken":      {start(agent.ErrNameTaken), 75},
		"start: etcd denies the password": {start(lease.ErrDenied), 77},
	} {
		t.Run(name, func(t *testing.T) {
			if got := finish(c.err, io.Discard); got != c.want {
				t.Errorf("exit code of %v = %d, want %d", c.err, got, c.want)
			}
		})
	}
}
