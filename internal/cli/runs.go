package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"proofload/internal/coordinator"
	"proofload/internal/run"
	"proofload/internal/worker"
	pb "proofload/proto/proofload/v1"
)

// remote is the flags of a command that talks to a coordinator.
type remote struct {
	addresses []string
	tls       worker.TLSOptions
	output    string
	store     string // offline
}

func (r *remote) flags(cmd *cobra.Command, output bool) {
	f := cmd.Flags()
	f.StringSliceVar(&r.addresses, "coordinator", []string{coordinator.DefaultListen}, "coordinators to ask: ADDR[,ADDR]")
	tlsFlags(f, &r.tls)
	if output {
		f.StringVarP(&r.output, "output", "o", "table", "table, json or yaml")
	}
}

// storeFlag adds the flag for work without a coordinator. A variable does not set it: PROOFLOAD_STORE,
// which is meant for serve, must not keep clients from asking the coordinator.
func (r *remote) storeFlag(cmd *cobra.Command, what string) {
	cmd.Flags().StringVar(&r.store, "store", "", what)
	flagsOnly(cmd.Flags(), "store")
}

func (r *remote) client() (*client, error) {
	if err := checkAddresses("--coordinator", r.addresses); err != nil {
		return nil, err
	}
	creds, err := worker.Credentials(r.tls)
	if err != nil {
		return nil, exit(run.ExitUsage, err)
	}
	return newClient(r.addresses, creds), nil
}

// callTimeout bounds one call of a client command.
const callTimeout = 30 * time.Second

// with calls fn against the leader.
func (r *remote) with(ctx context.Context, fn func(ctx context.Context, runs pb.RunServiceClient, fleet pb.FleetServiceClient) error) error {
	cl, err := r.client()
	if err != nil {
		return err
	}
	defer cl.close()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return cl.call(func(runs pb.RunServiceClient, fleet pb.FleetServiceClient) error { return fn(ctx, runs, fleet) })
}

func (a *app) clientCommands() []*cobra.Command {
	runs := group("runs", "List, watch and command runs", "  coordinator runs list\n  coordinator runs watch last")
	runs.AddCommand(a.runsList(), a.runsShow(), a.runsWatch(), a.runsPause(), a.runsResume(), a.runsScale(), a.runsStop(), a.runsReport(), a.runsDelete(), later("compare"), later("export"))
	workers := group("workers", "Show the workers of a fleet", "  coordinator workers list")
	workers.AddCommand(a.workersList(), a.workersDrain())
	return []*cobra.Command{runs, workers, a.statusCommand()}
}

// group is a command that only holds others: alone it shows them, and a word that is none of them is
// bad usage rather than a reason to show them.
func group(use, short, example string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Example: example, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
}

// maxLimit is the largest page of the API.
const maxLimit = 1000

func (a *app) runsList() *cobra.Command {
	r := &remote{}
	limit := 0
	cmd := &cobra.Command{
		Use: "list", Short: "List runs, newest first", Args: cobra.NoArgs,
		Example: "  coordinator runs list\n  coordinator runs list --store ./proofload -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > maxLimit {
				return usage("--limit %d: from 1 to %d runs can be listed", limit, maxLimit)
			}
			var views []runView
			var err error
			shown := map[string]any{}
			if r.store != "" {
				var left []string
				if views, left, err = offlineRuns(cmd.Context(), r.store, limit); len(left) > 0 {
					fmt.Fprintln(a.stderr, leftText(left))
				}
				shown["unfinished"] = notNil(left)
			} else {
				err = r.with(cmd.Context(), func(ctx context.Context, runs pb.RunServiceClient, _ pb.FleetServiceClient) error {
					resp, err := runs.ListRuns(ctx, &pb.ListRunsRequest{PageSize: int32(limit)})
					views = nil
					for _, m := range resp.GetRuns() {
						views = append(views, viewOf(m))
					}
					return err
				})
			}
			if err != nil {
				return err
			}
			shown["runs"] = notNil(views)
			return a.print(r.output, shown, func(t *tabwriter.Writer) {
				row(t, "RUN", "SCENARIO", "ENVIRONMENT", "STATE", "VERDICT", "CREATED", "ELAPSED", "REASON")
				for _, v := range views {
					row(t, v.ID, v.Name, v.Environment, v.State, v.Verdict,
						v.CreatedAt.Local().Format("2006-01-02 15:04:05"), time.Duration(v.ElapsedS*float64(time.Second)).Round(time.Second), v.Reason)
				}
			})
		},
	}
	r.flags(cmd, true)
	r.storeFlag(cmd, "read this store, a directory or s3://BUCKET and the like, instead of asking a coordinator")
	cmd.Flags().IntVar(&limit, "limit", 50, "most runs to list")
	return cmd
}

func notNilMap(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func (a *app) runsShow() *cobra.Command {
	r := &remote{}
	cmd := &cobra.Command{
		Use: "show RUN", Short: "Show one run", Args: cobra.ExactArgs(1), Example: "  coordinator runs show last",
		RunE: func(cmd *cobra.Command, args []string) error {
			var v runView
			var err error
			if r.store != "" {
				v, err = offlineRun(cmd.Context(), r.store, args[0])
			} else {
				err = r.with(cmd.Context(), func(ctx context.Context, runs pb.RunServiceClient, _ pb.FleetServiceClient) error {
					resp, err := runs.GetRun(ctx, &pb.GetRunRequest{RunId: args[0]})
					if err == nil {
						v = viewOf(resp.GetRun())
					}
					return err
				})
			}
			if err != nil {
				return err
			}
			return a.print(r.output, v, func(t *tabwriter.Writer) { v.table(t) })
		},
	}
	r.flags(cmd, true)
	r.storeFlag(cmd, "read this store, a directory or s3://BUCKET and the like, instead of asking a coordinator")
	return cmd
}

func (a *app) runsWatch() *cobra.Command {
	r := &remote{}
	kind := "auto"
	cmd := &cobra.Command{
		Use: "watch RUN", Short: "Follow a run to its end", Args: cobra.ExactArgs(1), Example: "  coordinator runs watch last",
		Long: "watch follows a run and exits with its verdict. A signal detaches (exit code 130); the run goes on.",
		RunE: func(cmd *cobra.Command, args []string) error {
			last, err := a.watchRun(cmd.Context(), r, args[0], kind)
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stdout, "run %s %s %s\n", last.GetId(), stateName(last.GetState()), strings.TrimPrefix(last.GetVerdict().String(), "VERDICT_"))
			if code := last.GetExitCode(); code != 0 {
				return exit(int(code), nil)
			}
			return nil
		},
	}
	r.flags(cmd, false)
	cmd.Flags().StringVar(&kind, "progress", "auto", "auto, tui, plain or none")
	return cmd
}

// watchRun follows a run that must be there: only a coordinator that has answered is waited for when
// it goes away.
func (a *app) watchRun(ctx context.Context, r *remote, id, kind string) (*pb.Run, error) {
	if err := validProgress(kind); err != nil {
		return nil, err
	}
	cl, err := r.client()
	if err != nil {
		return nil, err
	}
	defer cl.close()
	var found *pb.Run
	err = cl.call(func(runs pb.RunServiceClient, _ pb.FleetServiceClient) error {
		callCtx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		resp, err := runs.GetRun(callCtx, &pb.GetRunRequest{RunId: id})
		found = resp.GetRun()
		return err
	})
	if err != nil {
		return nil, err
	}
	show := a.newProgress(kind)
	defer show.close()
	return a.follow(ctx, context.WithoutCancel(ctx), watched{client: cl, run: found, show: show})
}

func (a *app) runsReport() *cobra.Command {
	r := &remote{}
	format, file := "md", ""
	cmd := &cobra.Command{
		Use: "report RUN", Short: "Print or save a run's report", Args: cobra.ExactArgs(1),
		Example: "  coordinator runs report last\n  coordinator runs report last --format html --file report.html",
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, ok := reportNames[format]
			if !ok {
				return usage("--format %q: it is json, md, html or junit", format)
			}
			var data []byte
			var err error
			if r.store != "" {
				data, err = offlineReport(cmd.Context(), r.store, args[0], kind.ext)
			} else {
				err = r.with(cmd.Context(), func(ctx context.Context, runs pb.RunServiceClient, _ pb.FleetServiceClient) error {
					data, err = report(ctx, runs, args[0], kind.format)
					return err
				})
			}
			if err != nil {
				return err
			}
			if file != "" {
				return os.WriteFile(file, data, 0o644)
			}
			_, err = a.stdout.Write(data)
			return err
		},
	}
	r.flags(cmd, false)
	r.storeFlag(cmd, "read this store, a directory or s3://BUCKET and the like, instead of asking a coordinator")
	cmd.Flags().StringVar(&format, "format", "md", "json, md, html or junit")
	cmd.Flags().StringVar(&file, "file", "", "write it there instead of printing it")
	return cmd
}

func (a *app) runsDelete() *cobra.Command {
	r := &remote{}
	id := requestID()
	cmd := &cobra.Command{
		Use: "delete RUN", Short: "Remove a run that has ended, with its samples and reports", Args: cobra.ExactArgs(1),
		Example: "  coordinator runs delete 01J0000000000000000000000",
		RunE: func(cmd *cobra.Command, args []string) error {
			full := ""
			var err error
			if r.store != "" {
				full, err = offlineDelete(cmd.Context(), r.store, args[0])
			} else {
				err = r.with(cmd.Context(), func(ctx context.Context, runs pb.RunServiceClient, _ pb.FleetServiceClient) error {
					if full == "" { // another attempt must not delete what is the last one by then
						found, err := runs.GetRun(ctx, &pb.GetRunRequest{RunId: args[0]})
						if err != nil {
							return err
						}
						full = found.GetRun().GetId()
					}
					_, err := runs.DeleteRun(ctx, &pb.DeleteRunRequest{RequestId: id, RunId: full})
					return err
				})
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.stdout, "run %s deleted\n", full)
			return err
		},
	}
	r.flags(cmd, false)
	r.storeFlag(cmd, "work on this store's directory, which no coordinator may use meanwhile")
	return cmd
}
