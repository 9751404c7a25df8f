package load

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"proofload/internal/load/grpcload"
	"proofload/internal/load/httpload"
	"proofload/internal/load/httpload/http2load"
	"proofload/internal/load/sockload"
	"proofload/internal/load/transport"
	"proofload/internal/load/wsload"
)

// TestCertificates: a certificate that is refused has the same kind of error whatever is spoken. HTTP/3 has a test of its
// own, for it has no TLS of TCP.
func TestCertificates(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	trusted := x509.NewCertPool()
	trusted.AddCert(server.Certificate())
	asks := map[string]func(ctx context.Context, u *url.URL, cfg *tls.Config) error{
		"https": func(ctx context.Context, u *url.URL, cfg *tls.Config) error {
			c, err := httpload.NewClient(httpload.Options{Target: u, TLS: cfg})
			if err != nil {
				return err
			}
			return errors.Join(c.Do(ctx, &httpload.Request{Method: http.MethodGet}, &httpload.Response{}), c.Close())
		},
		"https, version 2": func(ctx context.Context, u *url.URL, cfg *tls.Config) error {
			c, err := http2load.NewClient(http2load.Options{Target: u, TLS: cfg})
			if err != nil {
				return err
			}
			return errors.Join(c.Do(ctx, &httpload.Request{Method: http.MethodGet}, &httpload.Response{}), c.Close())
		},
		"grpcs": func(ctx context.Context, u *url.URL, cfg *tls.Config) error {
			c, err := grpcload.NewClient(grpcload.Options{Target: u, TLS: cfg})
			if err != nil {
				return err
			}
			return errors.Join(c.Unary(ctx, &grpcload.Call{Method: "/a.B/C", Timeout: time.Minute}, nil, &grpcload.Response{}), c.Close())
		},
		"wss": func(ctx context.Context, u *url.URL, cfg *tls.Config) error {
			c, err := wsload.NewClient(wsload.Options{Target: u, TLS: cfg})
			if err != nil {
				return err
			}
			_, err = c.Open(ctx, &wsload.Opening{Path: "/"}, &wsload.Opened{})
			return err
		},
		"tls": func(ctx context.Context, u *url.URL, cfg *tls.Config) error {
			c, err := sockload.NewClient(sockload.Options{Target: u, TLS: cfg})
			if err != nil {
				return err
			}
			_, err = c.Open(ctx, 0, &sockload.Opened{})
			return err
		},
	}
	for protocol, ask := range asks {
		for kind, cfg := range map[transport.Kind]*tls.Config{
			transport.KindTLSName:      {RootCAs: trusted, ServerName: "shop.invalid"},
			transport.KindTLSExpired:   {RootCAs: trusted, Time: func() time.Time { return server.Certificate().NotAfter.Add(time.Hour) }},
			transport.KindTLSAuthority: {RootCAs: x509.NewCertPool()},
		} {
			cfg.MinVersion = tls.VersionTLS12
			scheme := protocol
			if protocol == "https, version 2" {
				scheme = "https"
			}
			err := ask(t.Context(), &url.URL{Scheme: scheme, Host: server.Listener.Addr().String()}, cfg)
			if e, ok := errors.AsType[*transport.Error](err); !ok || e.Kind != kind {
				t.Errorf("%s: %v, want %s", protocol, err, kind)
			}
		}
	}
}
