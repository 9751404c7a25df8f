package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	reports "proofload/internal/result/report"
	"proofload/internal/run"
	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// haltView is a halt that is in force.
type haltView struct {
	Since    time.Time `json:"since"`
	Reason   string    `json:"reason"`
	AskedBy  string    `json:"asked_by"`
	AskedOf  string    `json:"asked_of"`
	Recorded bool      `json:"recorded"`
	said     string
}

// haltViewOf returns nil for none.
func haltViewOf(m *pb.HaltInfo) *haltView {
	if m == nil {
		return nil
	}
	h := wire.HaltedFromProto(m)
	return &haltView{Since: h.Since, Reason: h.Reason, AskedBy: h.By, AskedOf: h.AskedOf, Recorded: h.Recorded, said: h.String()}
}

// text says since when, by whose request and why.
func (v haltView) text() string {
	if !v.Recorded {
		return v.said + " (not recorded yet)"
	}
	return v.said
}

// haltedView is what became of a halt.
type haltedView struct {
	Halt         *haltView `json:"halt"` // null: this request has been lifted
	Runs         []string  `json:"runs"`
	Told         []string  `json:"told_workers"`
	Stopped      []string  `json:"stopped_workers"`
	Coordinators []string  `json:"coordinators"` // that keep it until it is recorded
	Unreached    []string  `json:"unreached_coordinators"`
	Unrecorded   string    `json:"unrecorded_reason"`
}

func (v haltedView) table(t *tabwriter.Writer) {
	if v.Halt == nil {
		row(t, "halted", "no: this request has been lifted")
		return
	}
	row(t, "halted", v.Halt.text())
	row(t, "runs", cmp.Or(strings.Join(v.Runs, ", "), "none"))
	row(t, "workers told", cmp.Or(strings.Join(v.Told, ", "), "none"))
	row(t, "workers stopped", cmp.Or(strings.Join(v.Stopped, ", "), "none"))
	if !v.Halt.Recorded {
		row(t, "not recorded", v.Unrecorded)
		row(t, "kept by", strings.Join(v.Coordinators, ", "))
		if len(v.Unreached) > 0 {
			row(t, "not reached", strings.Join(v.Unreached, ", "))
		}
	}
}

func (a *app) haltCommand() *cobra.Command {
	r := &remote{}
	id, reason := requestID(), ""
	cmd := &cobra.Command{
		Use: "halt", Short: "End every run of the cluster at once, and let none begin until unhalt", Args: cobra.NoArgs,
		Long: "halt ends every run, those in the queue too, as `runs stop` ends one, and has new ones refused (exit code 75)\n" +
			"until `coordinator unhalt`. It needs neither a leader nor etcd: while nothing can be recorded, the coordinators\n" +
			"pass it to every worker that they reach, and it is recorded once somebody leads. If it is not recorded and has\n" +
			"reached no worker, the exit code is 69.",
		Example: "  coordinator halt --reason 'the shop is down'\n  coordinator halt --reason 'wrong target' --coordinator c1:7470,c2:7470,c3:7470",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if strings.TrimSpace(reason) == "" {
				return usage("--reason is needed: it is what those are told whose runs end; see `%s --help`", cmd.CommandPath())
			}
			if err := validOutput(r.output); err != nil {
				return err // before everything is ended
			}
			var v haltedView
			err := r.with(cmd.Context(), func(ctx context.Context, _ pb.RunServiceClient, fleet pb.FleetServiceClient) error {
				resp, err := fleet.Halt(ctx, &pb.HaltRequest{RequestId: id, Reason: reason, AskedBy: whoAsks()})
				v = haltedView{
					Halt: haltViewOf(resp.GetHalt()), Runs: notNil(resp.GetRunIds()), Told: notNil(resp.GetToldWorkers()), Stopped: notNil(resp.GetStoppedWorkers()),
					Coordinators: notNil(resp.GetCoordinators()), Unreached: notNil(resp.GetUnreachedCoordinators()), Unrecorded: resp.GetUnrecordedReason(),
				}
				return err
			})
			if err != nil {
				return err
			}
			if err := a.print(r.output, v, func(t *tabwriter.Writer) { v.table(t) }); err != nil {
				return err
			}
			if v.Halt == nil {
				return exit(run.ExitNotStarted, errors.New("the cluster is not halted: this request was lifted, maybe before it could be recorded; halt again if it is still wanted"))
			}
			if !v.Halt.Recorded && len(v.Told) == 0 {
				return exit(run.ExitUnreachable, fmt.Errorf("the halt has reached no worker yet, and is not recorded yet; %s %s it and will have it recorded",
					strings.Join(v.Coordinators, ", "), verb(len(v.Coordinators), "keeps", "keep")))
			}
			return nil
		},
	}
	r.flags(cmd, true)
	cmd.Flags().StringVar(&reason, "reason", "", "why; it becomes the reason of every run that it ends")
	return cmd
}

func (a *app) unhaltCommand() *cobra.Command {
	r := &remote{}
	id := requestID()
	cmd := &cobra.Command{
		Use: "unhalt", Short: "Let runs begin again after a halt", Args: cobra.NoArgs,
		Long:    "unhalt lets runs begin again. It revives none that the halt has ended, and needs a leader that can record it.",
		Example: "  coordinator unhalt",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.with(cmd.Context(), func(ctx context.Context, _ pb.RunServiceClient, fleet pb.FleetServiceClient) error {
				resp, err := fleet.Unhalt(ctx, &pb.UnhaltRequest{RequestId: id})
				if err != nil {
					return err
				}
				text := "it was not halted: runs can begin"
				if was := haltViewOf(resp.GetHalt()); was != nil {
					text = "halted no more; it was " + was.text()
				}
				_, err = fmt.Fprintln(a.stdout, reports.Plain(text))
				return err
			})
		},
	}
	r.flags(cmd, false)
	return cmd
}

// whoAsks names the user and the machine, as far as they can be found out.
func whoAsks() string {
	name := "?"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "?"
	}
	who := name + "@" + host
	if len(who) > 256 || utf8Text("who asks", who) != nil {
		return ""
	}
	return who
}
