package coordinator

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"proofload/internal/supervisor"
	"proofload/internal/telemetry"
)

// Options are what a Coordinator is made of. DataDir and Logger are required.
type Options struct {
	Name      string // unique among the coordinators; empty: the host name
	Listen    string // gRPC; empty: 127.0.0.1:7470
	HTTP      string // metrics and health; empty: 127.0.0.1:7471; "-": none
	Advertise string // address that workers and clients are told; empty: the listener's
	DataDir   string // of the embedded etcd, and of the file store unless Store says otherwise
	Store     string // URL or directory; empty: DataDir/store

	EtcdEndpoints []string // empty: embedded
	Etcd          EtcdOptions
	TLS           TLSOptions
	Insecure      bool // listen beyond loopback without TLS all the same

	Secret    func(name string) (string, bool)
	Callbacks []supervisor.Callback
	Server    []grpc.ServerOption  // further options
	Telemetry *telemetry.Telemetry // nil: no traces, and metrics at HTTP alone
	Version   string
	Logger    hclog.Logger
}

// EtcdOptions are the credentials for an external etcd.
type EtcdOptions struct {
	Username, Password        string
	CAFile, CertFile, KeyFile string
}

// TLSOptions are the files of this coordinator's own certificate, in PEM. With ClientCAFile, clients
// and workers must present a certificate that it has signed.
type TLSOptions struct{ CertFile, KeyFile, ClientCAFile string }

// Default addresses.
const (
	DefaultListen = "127.0.0.1:7470"
	DefaultHTTP   = "127.0.0.1:7471"
)

// withDefaults fills in what was left open.
func (o Options) withDefaults() Options {
	if o.Listen == "" {
		o.Listen = DefaultListen
	}
	if o.HTTP == "" {
		o.HTTP = DefaultHTTP
	}
	if o.Name == "" {
		if host, err := os.Hostname(); err == nil {
			o.Name = host
		} else {
			o.Name = "coordinator"
		}
	}
	if o.Secret == nil {
		o.Secret = func(string) (string, bool) { return "", false }
	}
	return o
}

// Validate reports all that is missing or refused.
func (o Options) Validate() error {
	o = o.withDefaults()
	var errs []error
	if o.DataDir == "" {
		errs = append(errs, errors.New("a data directory is needed: give --data-dir"))
	}
	if (o.TLS.CertFile == "") != (o.TLS.KeyFile == "") {
		errs = append(errs, errors.New("--tls-cert and --tls-key go together"))
	}
	if o.TLS.ClientCAFile != "" && o.TLS.CertFile == "" {
		errs = append(errs, errors.New("--tls-client-ca needs --tls-cert and --tls-key"))
	}
	if o.TLS.CertFile == "" && !o.Insecure {
		errs = append(errs, loopback("--listen", o.Listen))
	}
	if o.HTTP != "-" && !o.Insecure {
		errs = append(errs, loopback("--http", o.HTTP))
	}
	if len(o.EtcdEndpoints) > 0 {
		errs = append(errs, sharedStore(o.Store))
	}
	return errors.Join(errs...)
}

// sharedStore refuses a store that the other coordinators on the etcd cannot read: the one that leads next
// would find records of runs without their samples.
func sharedStore(location string) error {
	_, shared, err := parseStore(location)
	if err != nil || shared {
		return err
	}
	return errors.New("with --etcd-endpoints the store must be one that every coordinator reaches: give --store 'file:///DIR?shared=true', with a directory on shared storage")
}

// loopback refuses an address beyond this machine.
func loopback(flag, address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%s %q: it must be HOST:PORT", flag, address)
	}
	if host == "localhost" {
		return nil
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s %s is reachable from other machines without TLS: give --tls-cert and --tls-key, or --insecure to allow it", flag, address)
}
