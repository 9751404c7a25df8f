package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	reports "proofload/internal/result/report"
	"proofload/internal/run"
	pb "proofload/proto/proofload/v1"
)

func (a *app) runsStop() *cobra.Command {
	r := &remote{}
	id, reason := requestID(), ""
	cmd := &cobra.Command{
		Use: "stop RUN", Short: "End a run early, with its report", Args: cobra.ExactArgs(1),
		Long: "stop ends a run: work in flight finishes, which takes half a minute at most, teardown runs, the report is\n" +
			"made. It needs neither a leader nor etcd: while nothing can be recorded, the coordinators pass the stop to every\n" +
			"worker that they reach, and it is recorded once somebody leads. If no worker could be reached, the exit code\n" +
			"is 69.",
		Example: "  coordinator runs stop last --reason 'wrong build'",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.with(cmd.Context(), func(ctx context.Context, runs pb.RunServiceClient, _ pb.FleetServiceClient) error {
				resp, err := runs.StopRun(ctx, &pb.StopRunRequest{RequestId: id, RunId: args[0], Reason: reason})
				if err != nil {
					return err
				}
				if on := resp.GetPassedOn(); on != nil {
					return a.passedOn(args[0], on)
				}
				m := resp.GetRun()
				_, err = fmt.Fprintf(a.stdout, "run %s %s\n", m.GetId(), reports.Plain(because(stateName(m.GetState()), m.GetReason())))
				return err
			})
		},
	}
	r.flags(cmd, false)
	cmd.Flags().StringVar(&reason, "reason", "", "why; it is recorded")
	return cmd
}

// passedOn tells of a stop that is not recorded. It is a success for as far as it goes: one that has reached no
// worker has stopped nothing yet.
func (a *app) passedOn(id string, on *pb.StopPassedOn) error {
	text := reports.Plain(fmt.Sprintf("run %s: %s", id, passedText(on)))
	if len(on.GetToldWorkers()) == 0 {
		return exit(run.ExitUnreachable, fmt.Errorf("%s", text))
	}
	_, err := fmt.Fprintln(a.stdout, text)
	return err
}

// passedText says how far a stop has come that is not recorded.
func passedText(on *pb.StopPassedOn) string {
	told, stopped := on.GetToldWorkers(), len(on.GetStoppedWorkers())
	text := "the stop has reached no worker yet"
	if len(told) > 0 {
		text = fmt.Sprintf("the stop was passed on to %s (%s), of which %d have confirmed it", count(len(told), "worker"), strings.Join(told, ", "), stopped)
	}
	if missed := on.GetUnreachedCoordinators(); len(missed) > 0 {
		text += fmt.Sprintf("; the workers that only %s %s were not told", strings.Join(missed, ", "), verb(len(missed), "hears", "hear"))
	}
	return fmt.Sprintf("%s, and is not recorded yet (%s); %s %s it and will have it recorded",
		text, on.GetReason(), strings.Join(on.GetCoordinators(), ", "), verb(len(on.GetCoordinators()), "keeps", "keep"))
}

func count(n int, what string) string {
	return fmt.Sprintf("%d %s", n, verb(n, what, what+"s"))
}

func verb(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
