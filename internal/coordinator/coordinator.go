package coordinator

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"proofload/internal/api"
	"proofload/internal/fleet"
	"proofload/internal/lease"
	"proofload/internal/lease/embedded"
	"proofload/internal/relay"
	"proofload/internal/result"
	"proofload/internal/result/blob"
	"proofload/internal/telemetry"
)

// Coordinator is one coordinator. Make it with New, Run it once, Close it.
type Coordinator struct {
	opts    Options
	log     hclog.Logger
	process string // identity of this process, if its workers live in it

	blobs    blob.Opened
	etcd     *embedded.Server // nil with an external etcd
	client   *clientv3.Client
	store    *lease.Store
	listener net.Listener
	web      net.Listener // nil: none
	grpc     *grpc.Server
	health   *health.Server
	workers  *fleet.Server
	api      *api.Server
	relay    *relay.Relay
	halts    *fleet.Halts
	book     haltBook
	standing standing
	deafness deafness
	home     home
	cluster  uint64 // identity of the etcd cluster
	gauges   *gauges
	watch    *telemetry.Coordinator
	cleanups []cleanup
	leading  chan struct{} // closed when this coordinator leads for the first time
}

type cleanup struct {
	name string
	fn   func() error
}

// New opens the store, etcd and the listeners. On error everything that was opened is closed.
func New(ctx context.Context, opts Options) (*Coordinator, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	c := &Coordinator{opts: opts, log: opts.Logger.Named("coordinator"), leading: make(chan struct{})}
	if opts.OwnWorkers {
		c.process = rand.Text()
	}
	for _, open := range []func(context.Context) error{c.openListeners, c.openStore, c.openEtcd, c.openHome, c.openTelemetry, c.openServers} {
		if err := open(ctx); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

func (c *Coordinator) later(name string, fn func() error) {
	c.cleanups = append(c.cleanups, cleanup{name, fn})
}

func (c *Coordinator) openListeners(ctx context.Context) error {
	var lc net.ListenConfig
	var err error
	if c.listener, err = lc.Listen(ctx, "tcp", c.opts.Listen); err != nil {
		return fmt.Errorf("%w: choose another address with --listen", err)
	}
	c.later("listener", ignoreClosed(c.listener.Close))
	if c.opts.HTTP != "-" {
		if c.web, err = lc.Listen(ctx, "tcp", c.opts.HTTP); err != nil {
			return fmt.Errorf("%w: choose another address with --http", err)
		}
		c.later("http listener", ignoreClosed(c.web.Close))
	}
	if c.opts.Advertise == "" {
		c.opts.Advertise = c.listener.Addr().String()
	}
	return nil
}

func ignoreClosed(fn func() error) func() error {
	return func() error {
		if err := fn(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}

func (c *Coordinator) openStore(ctx context.Context) error {
	location, err := c.opts.location()
	if err != nil {
		return err
	}
	if c.blobs, err = blob.Open(ctx, location, blob.OpenOptions{}); err != nil {
		return err
	}
	c.later("store", c.blobs.Close)
	return nil
}

func (c *Coordinator) openEtcd(ctx context.Context) error {
	var err error
	if len(c.opts.EtcdEndpoints) > 0 {
		if c.client, err = lease.Connect(ctx, c.opts.connect()); err != nil {
			return err
		}
		c.later("etcd client", c.client.Close)
	} else {
		if c.etcd, err = embedded.Start(ctx, embedded.Options{Dir: filepath.Join(c.opts.DataDir, "etcd"), Logger: c.log.Named("etcd")}); err != nil {
			return err
		}
		c.later("etcd", c.etcd.Close)
		c.client = c.etcd.Client()
		if err := lease.Evict(ctx, c.client); err != nil {
			return err
		}
	}
	c.store = lease.NewStore(c.client)
	c.cluster, err = c.store.ClusterID(ctx)
	return err
}

// openTelemetry makes the instruments, for whoever reads them.
func (c *Coordinator) openTelemetry(context.Context) error {
	c.gauges = newGauges()
	c.watch = telemetry.NewCoordinator(c.opts.Telemetry, c.gauges.registry)
	c.opts.Server = append(slices.Clone(c.opts.Server), c.watch.ServerOptions()...)
	return nil
}

func (c *Coordinator) openServers(context.Context) error {
	creds := insecure.NewCredentials()
	if c.opts.TLS.CertFile != "" {
		var err error
		if creds, err = serverCredentials(c.opts.TLS); err != nil {
			return err
		}
	}
	towards, err := peerCredentials(c.opts.TLS)
	if err != nil {
		return err
	}
	c.relay = relay.New(relay.Options{
		Name: c.opts.Name, Address: c.opts.Advertise, Credentials: towards, Logger: c.opts.Logger,
		Problems:   func(ctx context.Context) []string { _, problems := c.troubles(ctx); return problems },
		Unanswered: c.unanswered,
	})
	c.halts = fleet.NewHalts(c.book.inForce)
	c.workers = fleet.NewServer(c.opts.Logger, c.cluster)
	c.api = api.NewServer(c.opts.Version)
	c.api.Always(bystander{c})
	c.api.Halts(c)
	c.grpc = grpc.NewServer(append(append(fleet.ServerOptions(),
		grpc.Creds(fleet.Lines(creds)),
		grpc.ChainUnaryInterceptor(c.relay.Unary, api.Unary), grpc.ChainStreamInterceptor(c.halts.Stream, c.relay.Stream, api.Stream),
	), c.opts.Server...)...)
	c.workers.Register(c.grpc)
	c.api.Register(c.grpc)
	c.health = health.NewServer()
	healthpb.RegisterHealthServer(c.grpc, c.health)
	c.health.SetServingStatus("", healthpb.HealthCheckResponse_NOT_SERVING)
	reflection.Register(c.grpc)
	return nil
}

// Address is where the API is served.
func (c *Coordinator) Address() string { return c.listener.Addr().String() }

// HTTPAddress is where metrics and health are served; empty: nowhere.
func (c *Coordinator) HTTPAddress() string {
	if c.web == nil {
		return ""
	}
	return c.web.Addr().String()
}

// Leading is closed when this coordinator leads for the first time and takes requests.
func (c *Coordinator) Leading() <-chan struct{} { return c.leading }

// Repository returns the runs, for reading beside the API.
func (c *Coordinator) Repository() *result.Repository {
	return result.NewRepository(reader{c.store}, c.blobs)
}

// Run serves until ctx ends or something fails that cannot be mended here.
func (c *Coordinator) Run(ctx context.Context) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := c.grpc.Serve(c.listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			return fmt.Errorf("serve %s: %w", c.Address(), err)
		}
		return nil
	})
	if c.web != nil {
		c.serveWeb(groupCtx, group)
	}
	group.Go(func() error { return c.elect(groupCtx) })
	group.Go(func() error { return c.followLeader(groupCtx) })
	group.Go(func() error { c.askAround(groupCtx); return nil })
	group.Go(func() error { c.settleStops(groupCtx); return nil })
	group.Go(func() error { c.followHalt(groupCtx); return nil })
	if c.etcd != nil {
		group.Go(func() error {
			select {
			case err := <-c.etcd.Failed():
				return fmt.Errorf("embedded etcd: %w", err)
			case <-groupCtx.Done():
				return nil
			}
		})
	}
	group.Go(func() error {
		<-groupCtx.Done()
		c.health.Shutdown()
		// What lasts for as long as it likes is ended first; the rest may finish.
		c.relay.Close()
		c.workers.Release()
		c.standing.keep(nil)
		c.stopServing()
		return nil
	})
	return group.Wait()
}

// stopServing lets calls finish for a moment, then ends them.
func (c *Coordinator) stopServing() {
	timer := time.AfterFunc(2*time.Second, c.grpc.Stop)
	defer timer.Stop()
	c.grpc.GracefulStop()
}

func (c *Coordinator) serveWeb(ctx context.Context, group *errgroup.Group) {
	server := &http.Server{Handler: c.webHandler(), ReadHeaderTimeout: 10 * time.Second}
	group.Go(func() error {
		if err := server.Serve(c.web); err != nil && !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve http %s: %w", c.HTTPAddress(), err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		return server.Shutdown(closing)
	})
}

// Close releases everything, newest first. It must not be called before Run has returned.
func (c *Coordinator) Close() error {
	var errs []error
	for i := len(c.cleanups) - 1; i >= 0; i-- {
		if err := c.cleanups[i].fn(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", c.cleanups[i].name, err))
		}
	}
	c.cleanups = nil
	return errors.Join(errs...)
}

// Registry returns the coordinator's own metrics.
func (c *Coordinator) Registry() *prometheus.Registry { return c.gauges.registry }
