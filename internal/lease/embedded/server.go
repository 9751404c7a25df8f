// Package embedded runs a private single-member etcd inside the process. It listens on nothing:
// its one client calls it in memory. What an acknowledged write says is on disk.
package embedded

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.etcd.io/etcd/server/v3/storage/wal"
)

const (
	startTimeout = 30 * time.Second
	closeTimeout = 10 * time.Second

	// A single member elects itself within a few ticks; nobody contends, so both can be short.
	tick     = 10 * time.Millisecond
	election = 50 * time.Millisecond

	quotaBytes = 1 << 30
	walBytes   = 8 << 20
	retention  = "10m" // of history; without compaction the heads of a long run would fill the quota
)

// walSize keeps the preallocated log files small: etcd's default takes 128 MB of a laptop's disk
// before anything is stored. It is a package variable of etcd, so it is set once, before any server.
var walSize = sync.OnceFunc(func() { wal.SegmentSizeBytes = walBytes })

// Options describe a Server.
type Options struct {
	Dir    string       // where its data lives; created when missing; required
	Logger hclog.Logger // gets etcd's warnings and errors; nil: none
}

// Server is a running etcd. Close it once.
type Server struct {
	etcd   *embed.Etcd
	client *clientv3.Client
	lock   *lock
	failed chan error
	gaveUp atomic.Bool
}

// Start starts an etcd on opts.Dir and returns when it takes requests. A directory that another
// process uses, or that cannot be written, is an error that says so (ErrInUse, ErrNotWritable).
func Start(ctx context.Context, opts Options) (*Server, error) {
	if opts.Logger == nil {
		opts.Logger = hclog.NewNullLogger()
	}
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("start embedded etcd: %w", err)
	}
	held, err := acquire(dir)
	if err != nil {
		return nil, fmt.Errorf("start embedded etcd: %w", err)
	}
	s := &Server{lock: held, failed: make(chan error, 1)}
	if err := s.start(ctx, dir, opts.Logger.Named("etcd")); err != nil {
		return nil, errors.Join(fmt.Errorf("start embedded etcd in %s: %w", dir, err), s.stop())
	}
	s.client = v3client.New(s.etcd.Server)
	return s, nil
}

func (s *Server) start(ctx context.Context, dir string, log hclog.Logger) error {
	walSize()
	cfg, err := s.config(dir, log)
	if err != nil {
		return err
	}
	if err := s.launch(cfg); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case <-s.etcd.Server.ReadyNotify():
		return nil
	case err := <-s.failed:
		return err
	case <-s.etcd.Server.StopNotify():
		return errors.New("it stopped while starting")
	case <-ctx.Done():
		return fmt.Errorf("it did not become ready: %w", context.Cause(ctx))
	}
}

// launch starts etcd in a goroutine of its own, because giving up ends the goroutine in which etcd
// finds, say, that its files are damaged.
func (s *Server) launch(cfg *embed.Config) error {
	var err error
	var wg sync.WaitGroup
	wg.Go(func() {
		defer func() { // etcd's own clean-up trips over what was not made yet when it gives up early
			if r := recover(); r != nil {
				s.fail(fmt.Errorf("embedded etcd gave up: %v", r))
			}
		}()
		s.etcd, err = embed.StartEtcd(cfg)
	})
	wg.Wait()
	if s.gaveUp.Load() {
		return <-s.failed
	}
	return err
}

func (s *Server) config(dir string, log hclog.Logger) (*embed.Config, error) {
	token := make([]byte, 16)
	if _, err := rand.Read(token); err != nil {
		return nil, fmt.Errorf("draw cluster token: %w", err)
	}
	none := url.URL{Scheme: "http", Host: "localhost:0"} // a name that etcd insists on; nothing listens there
	cfg := embed.NewConfig()
	cfg.Name = "embedded"
	cfg.Dir = filepath.Join(dir, "member-data")
	cfg.ListenPeerUrls, cfg.ListenClientUrls = nil, nil
	cfg.AdvertisePeerUrls, cfg.AdvertiseClientUrls = []url.URL{none}, []url.URL{none}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	// The cluster id is derived from the token. Were it the same for all, epochs of two data
	// directories would look comparable.
	cfg.InitialClusterToken = hex.EncodeToString(token)
	cfg.EnableGRPCGateway = false
	cfg.TickMs = uint(tick / time.Millisecond)
	cfg.ElectionMs = uint(election / time.Millisecond)
	cfg.AutoCompactionMode = embed.CompactorModePeriodic
	cfg.AutoCompactionRetention = retention
	cfg.QuotaBackendBytes = quotaBytes
	cfg.MaxRequestBytes = 4 << 20
	cfg.WarningApplyDuration = time.Second
	cfg.WarningUnaryRequestDuration = time.Second
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(newLogger(log, s.fail))
	return cfg, nil
}

// fail records the first reason for which etcd gave up.
func (s *Server) fail(err error) {
	defer s.gaveUp.Store(true)
	select {
	case s.failed <- err:
	default:
	}
}

// Client returns the client of this server. It is closed with the server.
func (s *Server) Client() *clientv3.Client { return s.client }

// Failed delivers at most one error: why etcd gave up while running, such as a full disk. What was
// acknowledged before is safe; nothing is acknowledged after it. The process has to end then.
func (s *Server) Failed() <-chan error { return s.failed }

// Close stops the server and frees the directory; no goroutine of it is left. After a failure it
// waits for nothing: what is left of etcd ends with the process, and until then the directory stays
// claimed.
func (s *Server) Close() error {
	err := s.client.Close()
	if errors.Is(err, context.Canceled) { // what a client without a connection always reports
		err = nil
	}
	return errors.Join(err, s.stop())
}

// stop ends etcd and gives the directory back, but does not wait for an etcd that cannot end: once
// one of its goroutines is gone, others wait for it without end.
func (s *Server) stop() error {
	if s.gaveUp.Load() {
		return nil
	}
	if s.etcd == nil {
		return s.lock.release()
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		s.etcd.Close()
	})
	select {
	case <-done:
		wg.Wait()
		return s.lock.release()
	case <-time.After(closeTimeout):
		return fmt.Errorf("embedded etcd did not stop within %s", closeTimeout)
	}
}
