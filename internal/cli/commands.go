package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	reports "proofload/internal/result/report"
	pb "proofload/proto/proofload/v1"
)

// mutation builds a command that changes a run.
func (a *app) mutation(use, short, example string, args int, fn func(ctx context.Context, runs pb.RunServiceClient, args []string, reason string) (*pb.Run, error)) *cobra.Command {
	r := &remote{}
	reason := ""
	cmd := &cobra.Command{
		Use: use, Short: short, Example: "  " + example, Args: cobra.ExactArgs(args),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.with(cmd.Context(), func(ctx context.Context, runs pb.RunServiceClient, _ pb.FleetServiceClient) error {
				m, err := fn(ctx, runs, args, reason)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(a.stdout, "run %s %s\n", m.GetId(), reports.Plain(because(stateName(m.GetState()), m.GetReason())))
				return err
			})
		},
	}
	r.flags(cmd, false)
	cmd.Flags().StringVar(&reason, "reason", "", "why; it is recorded")
	return cmd
}

// because puts a reason behind what it is the reason of, where there is one.
func because(what, reason string) string {
	if reason == "" {
		return what
	}
	return what + ": " + reason
}

func (a *app) runsPause() *cobra.Command {
	id := requestID() // one command is one request, however often it is sent
	return a.mutation("pause RUN", "Freeze a run's timeline", "coordinator runs pause last --reason 'looking at the logs'", 1,
		func(ctx context.Context, runs pb.RunServiceClient, args []string, reason string) (*pb.Run, error) {
			resp, err := runs.PauseRun(ctx, &pb.PauseRunRequest{RequestId: id, RunId: args[0], Reason: reason})
			return resp.GetRun(), err
		})
}

func (a *app) runsResume() *cobra.Command {
	id := requestID()
	return a.mutation("resume RUN", "Let a paused run go on", "coordinator runs resume last", 1,
		func(ctx context.Context, runs pb.RunServiceClient, args []string, reason string) (*pb.Run, error) {
			resp, err := runs.ResumeRun(ctx, &pb.ResumeRunRequest{RequestId: id, RunId: args[0], Reason: reason})
			return resp.GetRun(), err
		})
}

// maxPercent is the largest factor that the API takes.
const maxPercent = 100_000

func (a *app) runsScale() *cobra.Command {
	id := requestID()
	return a.mutation("scale RUN PERCENT", "Set a run's load to a share of its plan", "coordinator runs scale last 150%", 2,
		func(ctx context.Context, runs pb.RunServiceClient, args []string, reason string) (*pb.Run, error) {
			number, ok := strings.CutSuffix(args[1], "%")
			percent, err := strconv.ParseFloat(number, 64)
			switch {
			case !ok || err != nil || !(percent >= 0): // also not a number
				return nil, usage("%q is not a share of the plan: write 150%%", args[1])
			case percent == 0:
				return nil, usage("0%% is no load: to hold it back, use `runs pause`")
			case percent > maxPercent:
				return nil, usage("%s is more than a run can be scaled to, %d%%", args[1], maxPercent)
			}
			resp, err := runs.ScaleRun(ctx, &pb.ScaleRunRequest{RequestId: id, RunId: args[0], Factor: percent / 100, Reason: reason})
			return resp.GetRun(), err
		})
}

func (a *app) runsStop() *cobra.Command {
	id := requestID()
	return a.mutation("stop RUN", "End a run early, with its report", "coordinator runs stop last --reason 'wrong build'", 1,
		func(ctx context.Context, runs pb.RunServiceClient, args []string, reason string) (*pb.Run, error) {
			resp, err := runs.StopRun(ctx, &pb.StopRunRequest{RequestId: id, RunId: args[0], Reason: reason})
			return resp.GetRun(), err
		})
}
