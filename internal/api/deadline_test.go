package api

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "proofload/proto/proofload/v1"
)

// TestCallsAreBounded proves that a call which waits for a store that takes no writes is answered, with
// what to do, although its client named no deadline, and that an earlier deadline of the client stands.
func TestCallsAreBounded(t *testing.T) {
	for name, row := range map[string]struct{ client, want time.Duration }{
		"no deadline":         {0, callTimeout},
		"an earlier deadline": {time.Second, time.Second},
		"a later deadline":    {time.Hour, callTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if row.client > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, row.client)
					defer cancel()
				}
				began := time.Now()
				_, err := Unary(ctx, &pb.ListWorkersRequest{}, nil, func(ctx context.Context, _ any) (any, error) {
					<-ctx.Done()
					return nil, statusOf(context.Cause(ctx))
				})
				if got := time.Since(began); got != row.want || status.Code(err) != codes.DeadlineExceeded {
					t.Errorf("answered %v after %v, want DeadlineExceeded after %v", err, got, row.want)
				}
				if row.want == callTimeout && !strings.Contains(err.Error(), "the same request again is the same command") {
					t.Errorf("answered %v", err)
				}
			})
		})
	}
}

// TestDeadline: a call ends with its deadline.
func TestDeadline(t *testing.T) {
	r := serve(t)
	r.hang = true
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := r.runs.GetRun(ctx, &pb.GetRunRequest{RunId: "x"})
	wantCode(t, err, codes.DeadlineExceeded)
}
