// Package worker assembles a worker: the agent with the machine's probe and its connection. It
// decides nothing.
package worker

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"proofload/internal/agent"
	"proofload/internal/agent/guard"
	"proofload/internal/clock"
	"proofload/internal/load"
	"proofload/internal/load/programload"
	"proofload/internal/metric/source/host"
	"proofload/internal/telemetry"
)

// Options are what a worker is made of. Join, DataDir and Logger are required.
type Options struct {
	Name     string // empty: the host name
	Join     []string
	Labels   map[string]string
	Capacity float64 // 0: 1
	DataDir  string
	TLS      TLSOptions
	Dial     []grpc.DialOption // further options
	HTTP     string            // address of metrics and health; empty or "-": none
	Insecure bool              // serve HTTP beyond loopback all the same
	Bound    func(http string) // told where HTTP is served, once it is; nil: nobody
	// Telemetry is where traces and metrics go; nil: nowhere.
	Telemetry *telemetry.Telemetry
	Fsync     bool
	// AllowPrograms are patterns of the absolute paths of the programs that scenarios may have this worker run;
	// none: no program.
	AllowPrograms []string
	// Guard is the program that outlives this worker, and must call Watch. The zero value is none: for a
	// worker inside another program, which says itself how it ends.
	Guard   Program
	Version string
	Logger  hclog.Logger
}

// TLSOptions say how the coordinator is trusted, and what this worker shows of itself. The zero
// value is a connection without TLS.
type TLSOptions struct {
	Enabled           bool
	CAFile            string // PEM of the authorities to trust; empty: the system's
	CertFile, KeyFile string // of this worker
}

// Validate reports all that is missing or refused.
func (o Options) Validate() error {
	_, err := Credentials(o.TLS)
	return errors.Join(o.agent().Validate(), o.validateHTTP(), programload.Allowed(o.AllowPrograms).Validate(), err)
}

// agent returns the options of the agent, all but its credentials.
func (o Options) agent() agent.Options {
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "unknown"
	}
	return agent.Options{
		Name: cmp.Or(o.Name, hostname), Addresses: o.Join, Labels: o.Labels, Capacity: o.Capacity, DataDir: o.DataDir,
		Version: o.Version, Hostname: hostname, MemoryBytes: host.Memory(), Clock: clock.Nanos, Instant: clock.Instant, Boot: clock.Boot(),
		Host: &machine{read: host.New(), load: host.New()}, Fsync: o.Fsync, Logger: o.Logger, AllowProgram: programload.Allowed(o.AllowPrograms).Check,
		Dial: append(slices.Clone(o.Dial), o.Telemetry.DialOptions()...),
	}
}

// Run works until ctx ends or the coordinator sends the worker away.
func Run(ctx context.Context, opts Options) error {
	if err := opts.Validate(); err != nil {
		return err
	}
	options := opts.agent()
	var err error
	if options.Credentials, err = Credentials(opts.TLS); err != nil {
		return err
	}
	watch := opts.guard(options.Name)
	options.Lives = func(l agent.Life) { watch.Lives(guard.Life(l)) }
	a, err := agent.New(options)
	if err != nil {
		return err
	}
	watch.Start()
	if opts.Telemetry != nil {
		// The label tells the workers of one process apart.
		registry := prometheus.NewRegistry()
		prometheus.WrapRegistererWith(prometheus.Labels{"worker": options.Name}, registry).MustRegister(gauges{a.Stats})
		opts.Telemetry.Gather(registry)
	}
	err = errors.Join(run(ctx, a, opts), a.Close())
	watch.Dismiss() // not deferred: a panic is a death like any other
	return err
}

// run runs the agent with its HTTP listener beside it, if there is one.
func run(ctx context.Context, a *agent.Agent, opts Options) error {
	if !opts.servesHTTP() {
		return a.Run(ctx)
	}
	w, err := newWeb(ctx, opts.HTTP, a.Stats)
	if err != nil {
		return err
	}
	opts.Logger.Info("serving metrics and health", "http", w.address())
	if opts.Bound != nil {
		opts.Bound(w.address())
	}
	group, groupCtx := errgroup.WithContext(ctx)
	webCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	group.Go(func() error {
		defer stop() // the work's end is seen from outside to the last
		return a.Run(groupCtx)
	})
	group.Go(func() error { return w.serve(webCtx) })
	return group.Wait()
}

// Credentials reads the files of a client's TLS.
func Credentials(o TLSOptions) (credentials.TransportCredentials, error) {
	if !o.Enabled && o.CAFile == "" && o.CertFile == "" {
		return insecure.NewCredentials(), nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("authorities to trust: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("authorities to trust: %s holds none", o.CAFile)
		}
	}
	if o.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("own certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{cert}
	}
	return credentials.NewTLS(config), nil
}

// machine lets the agent measure this machine. Two goroutines ask, each through a probe of its own.
type machine struct{ read, load *host.Probe }

// Load implements load.Host.
func (m *machine) Load() load.HostLoad {
	return load.HostLoad{BusiestCore: m.load.BusiestCore(), Own: m.load.Own(), Throttled: m.load.Throttled()}
}

// Measure implements agent.Host.
func (m *machine) Measure() []agent.Measurement {
	var out []agent.Measurement
	for _, r := range m.read.Read() {
		out = append(out, agent.Measurement{Name: r.Name, Category: r.Category, Unit: r.Unit, Value: r.Value})
	}
	return out
}
