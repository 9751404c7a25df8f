package coordinator

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// webHandler serves metrics and health.
func (c *Coordinator) webHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(c.gauges.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if m, _ := c.gauges.now(); m == nil {
			http.Error(w, "not leading", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "leading")
	})
	return mux
}

// parseStore reads where the blobs are: a directory, or file:///path?shared=true.
func parseStore(location string) (dir string, shared bool, err error) {
	if !strings.Contains(location, "://") {
		dir, err = filepath.Abs(location)
		return dir, false, err
	}
	u, err := url.Parse(location)
	if err != nil {
		return "", false, fmt.Errorf("--store %q: %w", location, err)
	}
	if u.Scheme != "file" || u.Path == "" {
		return "", false, fmt.Errorf("--store %q: this version knows directories and file:///path", location)
	}
	return u.Path, u.Query().Get("shared") == "true", nil
}
