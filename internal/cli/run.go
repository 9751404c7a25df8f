package cli

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	"proofload/internal/load/schedule"
	"proofload/internal/run"
	"proofload/internal/scenario"
	"proofload/internal/worker"
	pb "proofload/proto/proofload/v1"
)

// runOptions are the flags of `coordinator run`.
type runOptions struct {
	environment, confirm string
	set                  []string
	out                  string
	workers              int
	progress             string
	reports              string
	http                 string
	allowPrograms        []string
	seed                 uint64
	coordinator          []string
	detach               bool
	queueTimeout         time.Duration
	tls                  worker.TLSOptions
	given                func(flag string) bool // by the command line or the environment
}

func (a *app) runCommand() *cobra.Command {
	o := runOptions{}
	cmd := &cobra.Command{
		Use:   "run FILE",
		Short: "Run a scenario here, with everything it needs, and return its verdict",
		Long: "run starts a coordinator with an embedded etcd, a file store and in-process workers, runs the\n" +
			"scenario, writes the reports below --out and exits with the verdict: 0 PASS, 1 FAIL, 3 or 4\n" +
			"ABORTED, 5 INVALID. The workers are as many as the scenario's workers.min asks for, and carry\n" +
			"the labels of its workers.match. With --coordinator it runs there instead.",
		Example: "  coordinator run examples/quickstart.yaml\n" +
			"  coordinator run checkout.yaml -e staging --set peak=800/s --report json,junit\n" +
			"  coordinator run checkout.yaml --coordinator loadlab:7470",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.given = cmd.Flags().Changed
			return a.run(cmd.Context(), args[0], o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.environment, "environment", "e", "", "environment of the scenario to lay over it")
	f.StringVar(&o.confirm, "confirm", "", "the environment's name again, where it asks for that")
	f.StringArrayVar(&o.set, "set", nil, "override a param: name=value; may be given several times")
	f.StringVar(&o.out, "out", "./proofload", "directory for results, reports and metrics")
	f.IntVar(&o.workers, "workers", 1, "number of in-process workers, at least the scenario's workers.min")
	f.StringVar(&o.progress, "progress", "auto", "auto, tui, plain or none")
	f.StringVar(&o.reports, "report", "json,md,html,junit", "reports to copy to --out in a remote run, and to name at the end")
	f.StringVar(&o.http, "http", "-", "address for /metrics and health while the run lasts; - for none")
	f.StringSliceVar(&o.allowPrograms, "allow-programs", nil, "absolute path, or pattern such as /opt/load/*, of programs that the scenario may run here; default none")
	f.Uint64Var(&o.seed, "seed", 0, "seed of all draws, instead of the scenario's")
	f.StringSliceVar(&o.coordinator, "coordinator", nil, "run there instead of here: ADDR[,ADDR]")
	f.BoolVar(&o.detach, "detach", false, "with --coordinator: print the run's id and return")
	f.DurationVar(&o.queueTimeout, "queue-timeout", 0, "give up when no workers are free for so long; 0 waits for ever")
	tlsFlags(f, &o.tls)
	flagsOnly(f, "environment", "confirm", "coordinator", "allow-programs")
	addLater(cmd)
	return cmd
}

var reportNames = map[string]struct {
	format pb.ReportFormat
	ext    string
}{
	"json":  {pb.ReportFormat_REPORT_FORMAT_JSON, "json"},
	"md":    {pb.ReportFormat_REPORT_FORMAT_MARKDOWN, "md"},
	"html":  {pb.ReportFormat_REPORT_FORMAT_HTML, "html"},
	"junit": {pb.ReportFormat_REPORT_FORMAT_JUNIT, "xml"},
}

func (o runOptions) formats() ([]string, error) {
	var out []string
	for name := range strings.SplitSeq(o.reports, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if _, ok := reportNames[name]; !ok {
			return nil, usage("--report %q: it is json, md, html or junit", name)
		}
		out = append(out, name)
	}
	return out, nil
}

func (a *app) run(ctx context.Context, file string, o runOptions) error {
	if err := o.validate(); err != nil {
		return err
	}
	name := filepath.Base(file)
	return placed(a.runFile(ctx, os.DirFS(filepath.Dir(file)), name, o), name, file)
}

func (a *app) runFile(ctx context.Context, fsys fs.FS, name string, o runOptions) error {
	// What is wrong with a local scenario is said before anything is started.
	var plan *scenario.Plan
	var err error
	if !o.remote() {
		if plan, err = scenario.Load(fsys, name, scenario.Options{Environment: o.environment, Set: o.set, Getenv: a.getenv, Rows: schedule.Rows}); err != nil {
			return err
		}
	}
	j := job{options: o}
	if j.source, j.content, err = a.source(fsys, name, o); err != nil {
		return err
	}
	if o.remote() {
		return a.runRemote(ctx, j)
	}
	l := localRun{app: a, job: j, labels: plan.Workers.Match}
	if l.workers, err = localWorkers(o.workers, o.given("workers"), plan.Workers.Min); err != nil {
		return err
	}
	return l.run(ctx)
}

// remote tells whether the run goes elsewhere.
func (o runOptions) remote() bool { return o.given("coordinator") }

// validate refuses what cannot be meant.
func (o runOptions) validate() error {
	if _, err := o.formats(); err != nil {
		return err
	}
	if err := validProgress(o.progress); err != nil {
		return err
	}
	switch {
	case o.workers < 1 || o.workers > maxLocalWorkers:
		return usage("--workers %d: from 1 to %d fit into one process", o.workers, maxLocalWorkers)
	case o.queueTimeout < 0:
		return usage("--queue-timeout %s: it must not be negative", o.queueTimeout)
	case strings.Contains(o.out, "://"):
		return usage("--out: it must be a directory; `serve` takes an object store as its --store")
	case o.remote() && o.given("allow-programs"):
		return usage("--allow-programs is for a run on this machine: there the workers say what they allow")
	case o.remote() && (o.given("workers") || o.given("http")):
		return usage("--workers and --http are for a run on this machine: leave them out with --coordinator")
	case o.remote():
		return checkAddresses("--coordinator", o.coordinator)
	case o.detach:
		return usage("--detach needs --coordinator: a run on this machine ends with this command")
	}
	return nil
}

// job is a scenario with all that has to come along with it, and what was asked for.
type job struct {
	source  *pb.ScenarioSource
	content map[string][]byte // of the data files, by digest
	options runOptions
}

// runRemote drives a run on a coordinator elsewhere.
func (a *app) runRemote(ctx context.Context, j job) error {
	creds, err := worker.Credentials(j.options.tls)
	if err != nil {
		return exit(run.ExitUsage, err)
	}
	cl := newClient(j.options.coordinator, creds)
	defer cl.close()
	return a.drive(ctx, context.WithoutCancel(ctx), cl, j)
}

// drive ships the scenario, creates the run, follows it to its end and returns its exit code. When
// ctx ends, the run is stopped and followed on; pieces is the life of what the run needs.
func (a *app) drive(ctx, pieces context.Context, cl *client, j job) error {
	o := j.options
	var created *pb.Run
	id := requestID()
	err := cl.call(func(runs pb.RunServiceClient, _ pb.FleetServiceClient) error {
		callCtx, cancel := context.WithTimeout(pieces, time.Minute)
		defer cancel()
		if err := upload(callCtx, runs, j.content); err != nil {
			return err
		}
		req := &pb.CreateRunRequest{RequestId: id, Source: j.source}
		if o.queueTimeout > 0 {
			req.QueueTimeout = durationpb.New(o.queueTimeout)
		}
		resp, err := runs.CreateRun(callCtx, req)
		created = resp.GetRun()
		return err
	})
	if err != nil {
		return err
	}
	if o.detach {
		fmt.Fprintln(a.stdout, created.GetId())
		return nil
	}
	show := a.newProgress(o.progress)
	last, err := a.follow(ctx, pieces, watched{client: cl, run: created, show: show, stop: true})
	show.close()
	if err != nil {
		return err
	}
	return a.conclude(pieces, cl, last, o)
}

// conclude copies the reports of a remote run, prints the summary and returns the exit code.
func (a *app) conclude(ctx context.Context, cl *client, r *pb.Run, o runOptions) error {
	formats, err := o.formats()
	if err != nil {
		return err
	}
	var paths []string
	var document []byte
	err = cl.call(func(runs pb.RunServiceClient, _ pb.FleetServiceClient) error {
		paths, document = nil, nil
		for _, name := range append([]string{"json"}, formats...) {
			data, err := report(ctx, runs, r.GetId(), reportNames[name].format)
			if err != nil {
				return err
			}
			if document == nil {
				document = data
				continue
			}
			path := filepath.Join(o.out, "reports", r.GetId(), "report."+reportNames[name].ext)
			if len(o.coordinator) > 0 {
				if err := writeFile(path, data); err != nil {
					return err
				}
			}
			paths = append(paths, path)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reports of run %s: %w", r.GetId(), err)
	}
	if err := a.summary(document); err != nil {
		return err
	}
	for _, p := range paths {
		fmt.Fprintln(a.stdout, "report: "+p)
	}
	if r.GetExitCode() != 0 {
		return exit(int(r.GetExitCode()), nil)
	}
	return nil
}

func writeFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// secret reads the value of a secret where the coordinator runs.
func (a *app) secret(name string) (string, bool) {
	return a.getenv("PROOFLOAD_SECRET_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
}
