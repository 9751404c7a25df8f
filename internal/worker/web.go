package worker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"proofload/internal/agent"
)

func (o Options) servesHTTP() bool { return o.HTTP != "" && o.HTTP != "-" }

// validateHTTP refuses an address that other machines reach, unless that is asked for: what is served
// there has neither TLS nor a password.
func (o Options) validateHTTP() error {
	if !o.servesHTTP() {
		return nil
	}
	host, port, err := net.SplitHostPort(o.HTTP)
	if err != nil {
		return fmt.Errorf("--http %q: it must be HOST:PORT", o.HTTP)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("--http %q: the port must be a number from 0 to 65535", o.HTTP)
	}
	if ip, err := netip.ParseAddr(host); host == "localhost" || (err == nil && ip.IsLoopback()) || o.Insecure {
		return nil
	}
	return fmt.Errorf("--http %s is reachable from other machines without TLS: choose a loopback address, or give --insecure to allow it", o.HTTP)
}

// web serves the metrics and the health of one worker.
type web struct {
	listener net.Listener
	server   *http.Server
}

// newWeb opens the listener; serve must be called.
func newWeb(ctx context.Context, address string, stats func() agent.Stats) (*web, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w: choose another address with --http", err)
	}
	return &web{
		listener: listener,
		server:   &http.Server{Handler: webHandler(stats), ReadHeaderTimeout: 10 * time.Second},
	}, nil
}

func (w *web) address() string { return w.listener.Addr().String() }

// serve answers until ctx ends.
func (w *web) serve(ctx context.Context) error {
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		stopped <- w.server.Shutdown(closing)
	})
	if err := w.server.Serve(w.listener); !errors.Is(err, http.ErrServerClosed) {
		stop()
		return fmt.Errorf("serve http %s: %w", w.address(), err)
	}
	return <-stopped
}

func webHandler(stats func() agent.Stats) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(gauges{stats}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !stats().Connected {
			http.Error(w, "not attached to a coordinator", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "attached")
	})
	return mux
}
