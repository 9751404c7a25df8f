package lease

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// ConnectOptions describe an external etcd cluster.
type ConnectOptions struct {
	Endpoints []string // host:port or URLs; required
	Username  string   // empty: no authentication
	Password  string
	CAFile    string        // PEM of the authorities to trust; empty: the system's
	CertFile  string        // PEM of the client certificate; with KeyFile
	KeyFile   string        // PEM of its key
	Timeout   time.Duration // for the first answer; 0: 5 s
}

// Connect returns a client of an external cluster after it has answered a read. The caller closes
// it. The error names the endpoints and what to check.
func Connect(ctx context.Context, opts ConnectOptions) (*clientv3.Client, error) {
	if len(opts.Endpoints) == 0 {
		return nil, errors.New("connect to etcd: no endpoints given")
	}
	secure, err := opts.tls()
	if err != nil {
		return nil, fmt.Errorf("connect to etcd: %w", err)
	}
	if opts.Timeout == 0 {
		opts.Timeout = 5 * time.Second
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints:            opts.Endpoints,
		Username:             opts.Username,
		Password:             opts.Password,
		TLS:                  secure,
		DialTimeout:          opts.Timeout,
		DialKeepAliveTime:    6 * time.Second, // etcd disconnects clients that ping more often than every 5 s
		DialKeepAliveTimeout: 3 * time.Second,
		MaxCallSendMsgSize:   4 << 20,
		Logger:               zap.NewNop(),
	})
	where := strings.Join(opts.Endpoints, ", ")
	if err != nil {
		return nil, connectError(where, err)
	}
	ctx, cancel := context.WithTimeout(ctx, opts.Timeout)
	defer cancel()
	if _, err := NewStore(client).ClusterID(ctx); err != nil {
		return nil, errors.Join(connectError(where, err), ignoreDone(client.Close()))
	}
	return client, nil
}

// ErrNoAnswer says that no member of the cluster has answered.
var ErrNoAnswer = errors.New("no answer: check the endpoints and that a majority of the cluster is up")

// Validate reads the files of TLS and checks that each endpoint names a host and a port.
func (o ConnectOptions) Validate() error {
	_, err := o.tls()
	errs := []error{err}
	for _, e := range o.Endpoints {
		address := e
		if scheme, rest, ok := strings.Cut(e, "://"); ok && (scheme == "http" || scheme == "https") {
			address = strings.TrimSuffix(rest, "/")
		} else if strings.HasPrefix(e, "unix") {
			continue
		}
		if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
			errs = append(errs, fmt.Errorf("endpoint %q: give HOST:PORT, http://HOST:PORT or https://HOST:PORT", e))
		}
	}
	return errors.Join(errs...)
}

func connectError(where string, err error) error {
	if isDone(err) {
		return fmt.Errorf("connect to etcd at %s: %w: %w", where, ErrNoAnswer, err)
	}
	if say := refused(err); say != nil {
		return fmt.Errorf("connect to etcd at %s: %w: %w", where, say, err)
	}
	return fmt.Errorf("connect to etcd at %s: %w", where, err)
}

// ignoreDone drops the cancellation that a client reports of its own closing.
func ignoreDone(err error) error {
	if isDone(err) {
		return nil
	}
	return err
}

// tls returns nil when neither a file nor an https endpoint asks for TLS.
func (o ConnectOptions) tls() (*tls.Config, error) {
	https := false
	for _, e := range o.Endpoints {
		https = https || strings.HasPrefix(e, "https://")
	}
	if !https && o.CAFile == "" && o.CertFile == "" && o.KeyFile == "" {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read certificate authorities: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read certificate authorities %s: no PEM certificate in it", o.CAFile)
		}
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		return nil, errors.New("a client certificate needs both its certificate file and its key file")
	}
	if o.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read client certificate: %w", err)
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	return cfg, nil
}
