package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"proofload/internal/coordinator"
	"proofload/internal/load/schedule"
	"proofload/internal/run"
	"proofload/internal/scenario"
	"proofload/internal/telemetry"
	"proofload/internal/worker"
)

func (a *app) serveCommand() *cobra.Command {
	o := coordinator.Options{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the coordinator daemon that workers join and clients command",
		Long: "serve listens for workers and clients. Without --etcd-endpoints it keeps its own etcd in the data\n" +
			"directory. Every flag can also be given as PROOFLOAD_<FLAG>, e.g. PROOFLOAD_DATA_DIR, and in the\n" +
			"file of --config, e.g. data-dir: /var/lib/proofload. A flag goes before a variable, and a variable\n" +
			"before the file.",
		Example: "  coordinator serve --data-dir /var/lib/proofload\n" +
			"  coordinator serve --data-dir /var/lib/proofload --listen 0.0.0.0:7470 --tls-cert c.pem --tls-key k.pem\n" +
			"  coordinator serve --config /etc/proofload/coordinator.yaml",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.daemon(cmd.Flags())
			return a.serve(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	configFlag(f)
	f.StringVar(&o.Listen, "listen", coordinator.DefaultListen, "address for workers and clients (gRPC)")
	f.StringVar(&o.HTTP, "http", coordinator.DefaultHTTP, "address for /metrics, /healthz and /readyz; - for none")
	f.StringVar(&o.Advertise, "advertise", "", "address that others are told; default the listener's")
	f.StringVar(&o.Name, "name", "", "name of this coordinator; default the host name")
	f.StringVar(&o.DataDir, "data-dir", "./proofload", "directory for the embedded etcd and the file store")
	f.StringVar(&o.Store, "store", "", "where results live: a directory, file:///path[?shared=true], s3://bucket, gs://bucket or azblob://container; default --data-dir")
	f.DurationVar(&o.CommitEvery, "commit-every", 0, "time between commits of samples, 1s to 5s; default 1s on files, 2s on object stores")
	f.StringSliceVar(&o.EtcdEndpoints, "etcd-endpoints", nil, "an etcd cluster to use instead of the embedded one")
	f.StringVar(&o.Etcd.Username, "etcd-user", "", "user for the etcd cluster; the password comes from PROOFLOAD_ETCD_PASSWORD")
	f.StringVar(&o.Etcd.CAFile, "etcd-ca", "", "PEM file of the authorities of the etcd cluster")
	f.StringVar(&o.Etcd.CertFile, "etcd-cert", "", "PEM file of the certificate for the etcd cluster")
	f.StringVar(&o.Etcd.KeyFile, "etcd-key", "", "PEM file of its key")
	f.StringVar(&o.TLS.CertFile, "tls-cert", "", "PEM file of this coordinator's certificate")
	f.StringVar(&o.TLS.KeyFile, "tls-key", "", "PEM file of its key")
	f.StringVar(&o.TLS.ClientCAFile, "tls-client-ca", "", "PEM file of the authorities that clients and workers must be signed by")
	f.StringVar(&o.TLS.PeerCAFile, "tls-peer-ca", "", "PEM file of the authorities that other coordinators are signed by; default the system's and --tls-client-ca")
	f.BoolVar(&o.Insecure, "insecure", false, "listen beyond this machine without TLS all the same")
	return cmd
}

func (a *app) serve(ctx context.Context, o coordinator.Options) error {
	log, err := a.logger()
	if err != nil {
		return err
	}
	o.Telemetry = telemetry.Start(ctx, telemetry.Options{Service: "proofload-coordinator", Version: Version, Instance: o.Name, Logger: log})
	defer o.Telemetry.Close()
	o.Logger, o.Version, o.Secret = log, Version, a.secret
	separate := o.Store
	if separate == "" {
		o.Store = o.DataDir
		o.DataDir = filepath.Join(o.DataDir, localDir)
	}
	o.Etcd.Password, _ = a.getenv("PROOFLOAD_ETCD_PASSWORD")
	if err := o.Validate(); err != nil {
		return exit(run.ExitUsage, err)
	}
	c, err := coordinator.New(ctx, o)
	if ctx.Err() != nil {
		log.Info("told to end while starting", "error", err)
		if c != nil {
			return c.Close()
		}
		return nil // what was opened has been closed
	}
	if err != nil {
		storeFlag := "--store"
		if separate == "" {
			storeFlag = "--data-dir"
		}
		return startError(err, "--data-dir", storeFlag)
	}
	log.Info("serving", "address", c.Address(), "http", c.HTTPAddress(), "version", Version)
	err = c.Run(ctx)
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, c.Close())
}

func (a *app) workerCommand() *cobra.Command {
	o := worker.Options{Labels: map[string]string{}}
	cmd := &cobra.Command{
		Use:   "worker --join ADDR[,ADDR]",
		Short: "Join a coordinator and generate load for its runs",
		Long: "worker dials out to a coordinator, waits for runs, executes its part of them, and keeps every\n" +
			"sample on disk until the coordinator has committed it. A second process, its guard, tells the\n" +
			"coordinator if the worker is killed.",
		Example: "  worker --join 127.0.0.1:7470\n" +
			"  worker --join lab1:7470,lab2:7470 --name gen-1 --label zone=eu --data-dir /var/lib/proofload-worker --tls",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.daemon(cmd.Flags())
			return a.work(cmd.Context(), o)
		},
	}
	a.common(cmd)
	f := cmd.Flags()
	configFlag(f)
	f.StringSliceVar(&o.Join, "join", nil, "addresses of coordinators")
	f.StringVar(&o.Name, "name", "", "name of this worker, unique in the fleet; default the host name")
	f.StringToStringVar(&o.Labels, "label", nil, "label that scenarios select workers by: k=v; may be given several times")
	f.Float64Var(&o.Capacity, "capacity", 1, "share of the load relative to other workers")
	f.StringVar(&o.DataDir, "data-dir", "./proofload-worker", "directory for this worker's identity and un-acked samples")
	f.StringSliceVar(&o.AllowPrograms, "allow-programs", nil, "absolute path, or pattern such as /opt/load/*, of programs that scenarios may run here; default none")
	f.BoolVar(&o.Fsync, "fsync", false, "force every batch of samples to the disk")
	f.StringVar(&o.HTTP, "http", "-", "address to serve /metrics, /healthz and /readyz on; - for none")
	f.BoolVar(&o.Insecure, "insecure", false, "allow --http beyond this machine without TLS")
	tlsFlags(f, &o.TLS)
	addLater(cmd)
	cmd.AddCommand(a.versionCommand("worker"), a.guardCommand(), later("faults"))
	return cmd
}

func (a *app) work(ctx context.Context, o worker.Options) error {
	log, err := a.logger()
	if err != nil {
		return err
	}
	if len(o.Join) == 0 {
		return usage("a worker needs a coordinator: give --join ADDR")
	}
	if err := checkAddresses("--join", o.Join); err != nil {
		return err
	}
	if o.Capacity == 0 {
		return usage("--capacity 0: it must be above 0") // as an option it would be the default
	}
	if err := o.Validate(); err != nil {
		return exit(run.ExitUsage, err)
	}
	tel := telemetry.Start(ctx, telemetry.Options{Service: "proofload-worker", Version: Version, Instance: o.Name, Logger: log})
	defer tel.Close()
	tel.GatherProcess()
	o.Telemetry = tel
	o.Logger, o.Version, o.Guard = log, Version, a.guard(log)
	return startError(worker.Run(ctx, o), "--data-dir", "--data-dir")
}

func (a *app) versionCommand(name string) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs, Example: "  " + name + " version",
		RunE: func(*cobra.Command, []string) error {
			revision := ""
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						revision = " " + s.Value
					}
				}
			}
			_, err := fmt.Fprintf(a.stdout, "proofload %s %s/%s %s%s\n", Version, runtime.GOOS, runtime.GOARCH, runtime.Version(), revision)
			return err
		},
	}
}

func (a *app) validateCommand() *cobra.Command {
	var env string
	var set []string
	cmd := &cobra.Command{
		Use: "validate FILE", Short: "Check a scenario and show every problem", Args: cobra.ExactArgs(1),
		Long:    "validate checks a scenario with its data files. Without -e it checks every environment.",
		Example: "  coordinator validate examples/quickstart.yaml",
		RunE: func(_ *cobra.Command, args []string) error {
			fsys, name := os.DirFS(filepath.Dir(args[0])), filepath.Base(args[0])
			if err := scenario.Validate(fsys, name, scenario.Options{Environment: env, Set: set, Getenv: a.getenv, Rows: schedule.Rows}); err != nil {
				return placed(err, name, args[0])
			}
			_, err := fmt.Fprintf(a.stdout, "%s is valid\n", args[0])
			return err
		},
	}
	cmd.Flags().StringVarP(&env, "environment", "e", "", "check this environment only")
	cmd.Flags().StringArrayVar(&set, "set", nil, "override a param: name=value")
	flagsOnly(cmd.Flags(), "environment")
	return cmd
}
