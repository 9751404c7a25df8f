package cli

import (
	"context"
	"text/tabwriter"

	"github.com/spf13/cobra"

	pb "proofload/proto/proofload/v1"
)

func (a *app) workersList() *cobra.Command {
	r := &remote{}
	cmd := &cobra.Command{
		Use: "list", Short: "List workers by name", Args: cobra.NoArgs, Example: "  coordinator workers list -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var views []workerView
			err := r.with(cmd.Context(), func(ctx context.Context, _ pb.RunServiceClient, fleet pb.FleetServiceClient) error {
				resp, err := fleet.ListWorkers(ctx, &pb.ListWorkersRequest{})
				views = nil
				for _, w := range resp.GetWorkers() {
					views = append(views, workerViewOf(w))
				}
				return err
			})
			if err != nil {
				return err
			}
			return a.print(r.output, map[string]any{"workers": notNil(views)}, func(t *tabwriter.Writer) {
				row(t, "WORKER", "STATE", "RUN", "HOST", "CPUS", "CAPACITY", "UNACKED", "LABELS", "VERSION")
				for _, v := range views {
					row(t, v.Name, v.State, v.Run, v.Hostname, v.CPUs, v.Capacity, v.Unacked, pairs(v.Labels), v.Version)
				}
			})
		},
	}
	r.flags(cmd, true)
	return cmd
}

func (a *app) workersDrain() *cobra.Command {
	r := &remote{}
	reason := ""
	cmd := &cobra.Command{
		Use: "drain WORKER", Short: "Have a worker hand over what it has, and end", Args: cobra.ExactArgs(1),
		Long:    "drain takes a worker out of the fleet: no run takes it any more. If it executes a run, the other workers\nof the run take its part over without a lost arrival; without others it goes on to the end of the run.",
		Example: "  coordinator workers drain w1 --reason 'kernel update'",
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.with(cmd.Context(), func(ctx context.Context, _ pb.RunServiceClient, fleet pb.FleetServiceClient) error {
				_, err := fleet.DrainWorker(ctx, &pb.DrainWorkerRequest{Name: args[0], Reason: reason})
				return err
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for people")
	r.flags(cmd, false)
	return cmd
}

func (a *app) statusCommand() *cobra.Command {
	r := &remote{}
	cmd := &cobra.Command{
		Use: "status", Short: "Show the leader, the workers and what is running", Args: cobra.NoArgs, Example: "  coordinator status -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var v statusView
			err := r.with(cmd.Context(), func(ctx context.Context, _ pb.RunServiceClient, fleet pb.FleetServiceClient) error {
				resp, err := fleet.GetStatus(ctx, &pb.GetStatusRequest{})
				if err == nil {
					v = statusViewOf(resp)
				}
				return err
			})
			if err != nil {
				return err
			}
			return a.print(r.output, v, func(t *tabwriter.Writer) { v.table(t) })
		},
	}
	r.flags(cmd, true)
	return cmd
}
