package coordinator

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"proofload/internal/lease"
	"proofload/internal/result/blob"
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

	// CommitEvery is the time between commits of samples, from MinCommitEvery to MaxCommitEvery; 0: 1 s
	// on files and 2 s on object stores, whose writes cost money and take longer.
	CommitEvery time.Duration

	EtcdEndpoints []string // empty: embedded
	Etcd          EtcdOptions
	TLS           TLSOptions
	Insecure      bool // listen beyond loopback without TLS all the same

	// OwnWorkers says that the workers live in this process, and end with it.
	OwnWorkers bool

	// Wall is the wall clock, which labels; the little else that it tells is under "What is not guaranteed yet" in
	// docs/reliability.md. Nil: the system's.
	Wall func() time.Time

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
// and workers must present a certificate that it has signed. PeerCAFile holds the authorities that other
// coordinators must be signed by when this one calls them; empty: the system's and that of the clients.
type TLSOptions struct{ CertFile, KeyFile, ClientCAFile, PeerCAFile string }

// Bounds of CommitEvery: batches of workers are of one second, and what was not committed within a few
// seconds is shown as provisional for too long.
const (
	MinCommitEvery = time.Second
	MaxCommitEvery = 5 * time.Second
)

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
	if o.Wall == nil {
		o.Wall = time.Now
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
	if o.TLS.PeerCAFile != "" && o.TLS.CertFile == "" {
		errs = append(errs, errors.New("--tls-peer-ca needs --tls-cert and --tls-key: coordinators call each other with TLS when they serve it"))
	}
	if o.TLS.CertFile != "" && o.TLS.KeyFile != "" {
		_, err := serverCredentials(o.TLS)
		errs = append(errs, err)
		if err == nil {
			_, err = peerCredentials(o.TLS)
			errs = append(errs, err)
		}
	}
	errs = append(errs, o.reachable("--listen", o.Listen))
	if o.HTTP != "-" {
		errs = append(errs, o.reachable("--http", o.HTTP))
	}
	location, err := o.location()
	errs = append(errs, err)
	if e := o.CommitEvery; e != 0 && (e < MinCommitEvery || e > MaxCommitEvery) {
		errs = append(errs, fmt.Errorf("--commit-every %v: it must be from %v to %v", e, MinCommitEvery, MaxCommitEvery))
	}
	if len(o.EtcdEndpoints) == 0 && o.Etcd != (EtcdOptions{}) {
		errs = append(errs, errors.New("--etcd-user, --etcd-ca, --etcd-cert and --etcd-key are for --etcd-endpoints: the embedded etcd is reached by nobody else"))
	}
	if len(o.EtcdEndpoints) > 0 {
		if err := o.connect().Validate(); err != nil {
			errs = append(errs, fmt.Errorf("etcd: %w", err))
		}
	}
	// The other coordinators on the etcd must be able to read the store: the one that leads next would find
	// records of runs without their samples.
	if len(o.EtcdEndpoints) > 0 && err == nil && !location.Shared {
		errs = append(errs, errors.New("with --etcd-endpoints the store must be one that every coordinator reaches: give --store s3://BUCKET (or gs://, azblob://), or 'file:///DIR?shared=true', with a directory on shared storage"))
	}
	if len(o.EtcdEndpoints) > 0 {
		errs = append(errs, o.advertised())
	}
	return errors.Join(errs...)
}

// location is where the store is.
func (o Options) location() (blob.Location, error) {
	text := o.Store
	if text == "" {
		text = filepath.Join(o.DataDir, "store")
	}
	l, err := blob.ParseLocation(text)
	if err != nil {
		return l, fmt.Errorf("--store: %w", err)
	}
	return l, nil
}

// commitEvery is the time between commits, with what the store makes of the default.
func (o Options) commitEvery() time.Duration {
	if o.CommitEvery != 0 {
		return o.CommitEvery
	}
	if l, err := o.location(); err == nil && l.Object() {
		return 2 * time.Second
	}
	return time.Second
}

// advertised refuses an address that says nothing to other machines: the other coordinators and the workers
// go by it.
func (o Options) advertised() error {
	host, _, err := net.SplitHostPort(o.Listen)
	if ip := net.ParseIP(host); o.Advertise == "" && err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return fmt.Errorf("--listen %s does not say where the other coordinators and the workers reach this one: give --advertise HOST:PORT", o.Listen)
	}
	return nil
}

// connect is how the external etcd is reached.
func (o Options) connect() lease.ConnectOptions {
	return lease.ConnectOptions{
		Endpoints: o.EtcdEndpoints, Username: o.Etcd.Username, Password: o.Etcd.Password,
		CAFile: o.Etcd.CAFile, CertFile: o.Etcd.CertFile, KeyFile: o.Etcd.KeyFile,
	}
}

// reachable refuses what is no address, and one beyond this machine unless that is allowed. What is
// served over HTTP has no TLS.
func (o Options) reachable(flag, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%s %q: it must be HOST:PORT", flag, address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%s %q: the port must be a number from 0 to 65535", flag, address)
	}
	if ip := net.ParseIP(host); o.Insecure || host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	switch {
	case flag == "--listen" && o.TLS.CertFile != "":
		return nil
	case flag == "--listen":
		return fmt.Errorf("%s %s is reachable from other machines without TLS: give --tls-cert and --tls-key, or --insecure to allow it", flag, address)
	}
	return fmt.Errorf("%s %s is reachable from other machines, and has no TLS: choose an address of this one, such as 127.0.0.1:7471 (a daemon allows it with --insecure)", flag, address)
}
