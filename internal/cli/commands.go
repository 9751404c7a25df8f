package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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
	cmd := a.mutation("scale RUN PERCENT", "Set a run's load to a share of its plan", "coordinator runs scale last 150%", 2,
		func(ctx context.Context, runs pb.RunServiceClient, args []string, reason string) (*pb.Run, error) {
			number, ok := strings.CutSuffix(args[1], "%")
			percent, err := strconv.ParseFloat(number, 64)
			switch {
			case ok && err == nil && percent < 0: // behind --
				return nil, notBelowZero(args[1])
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
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if share, ok := negative(err); ok {
			return notBelowZero(share)
		}
		return cmd.Parent().FlagErrorFunc()(cmd, err)
	})
	return cmd
}

// negative returns the argument that the parser has taken for flags although it begins like a number.
func negative(err error) (argument string, ok bool) {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return "", false
	}
	letters := unknown.GetSpecifiedShortnames()
	return "-" + letters, letters != "" && strings.ContainsAny(letters[:1], "0123456789.")
}

// notBelowZero refuses a share of the plan that is meant as a difference.
func notBelowZero(share string) error {
	return usage("%q is below 0: a share is of the plan, and not a change of what is now; for 5 %% less than planned write 95%%", share)
}
