package coordinator

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// listenEtcd starts an etcd that is reached by TCP, and returns its address and how to stop it.
func listenEtcd(t *testing.T) (address string, stop func()) {
	t.Helper()
	cfg := embed.NewConfig()
	cfg.Dir, cfg.Name = t.TempDir(), "e1"
	loopback := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{loopback}, []url.URL{loopback}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = nil, []url.URL{loopback}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.TickMs, cfg.ElectionMs = 10, 50
	cfg.EnableGRPCGateway = false
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatalf("start etcd: %v", err)
	}
	stop = sync.OnceFunc(e.Close)
	t.Cleanup(stop)
	<-e.Server.ReadyNotify()
	return e.Clients[0].Addr().String(), stop
}

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{file: filepath.Join(t.TempDir(), name+".pem")}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	write(t, a.file, "CERTIFICATE", der)
	return a
}

func write(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// sign makes a certificate for 127.0.0.1, for both ends of a connection.
func (a *authority) sign(t *testing.T, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem")
	write(t, certFile, "CERTIFICATE", der)
	write(t, keyFile, "EC PRIVATE KEY", keyDER)
	return certFile, keyFile
}

// startWith starts a coordinator, which the test's end stops.
func startWith(t *testing.T, o Options) *served {
	t.Helper()
	c, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &served{Coordinator: c, cancel: cancel, ended: make(chan error, 1)}
	var running sync.WaitGroup
	running.Go(func() { s.ended <- c.Run(ctx) })
	t.Cleanup(func() { s.stop(t); running.Wait() })
	return s
}

func together(t *testing.T, name, etcd, store string) Options {
	t.Helper()
	o := options(t.TempDir())
	o.Name, o.HTTP, o.EtcdEndpoints, o.Store = name, "-", []string{etcd}, "file://"+store+"?shared=true"
	return o
}

// ask returns the status as a coordinator tells it.
func ask(ctx context.Context, t *testing.T, address string, creds credentials.TransportCredentials) (*pb.GetStatusResponse, error) {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return pb.NewFleetServiceClient(conn).GetStatus(ctx, &pb.GetStatusRequest{})
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// TestCoordinatorsOverTLS proves that coordinators which demand certificates call each other with their own,
// and that one which does not trust the leader's authority says so rather than to pass anything on.
func TestCoordinatorsOverTLS(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	etcd, _ := listenEtcd(t)
	store := t.TempDir()
	secured := func(name, peers string) Options {
		o := together(t, name, etcd, store)
		cert, key := ca.sign(t, name)
		o.TLS = TLSOptions{CertFile: cert, KeyFile: key, ClientCAFile: ca.file, PeerCAFile: peers}
		return o
	}
	first := startWith(t, secured("c1", ""))
	first.awaitLeader(t)
	pair := func() credentials.TransportCredentials {
		cert, key := ca.sign(t, "client")
		own, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AddCert(ca.cert)
		return credentials.NewTLS(&tls.Config{RootCAs: roots, Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12})
	}()
	for name, row := range map[string]struct {
		peers, problem string
	}{
		"c2": {"", ""}, "c3": {ca.file, ""}, "c4": {other.file, "cannot be reached from here"},
	} {
		n := startWith(t, secured(name, row.peers))
		until(t, name+" answers", func() bool {
			st, err := ask(t.Context(), t, n.Address(), pair)
			if err != nil || st.GetLeader().GetName() != "c1" {
				return false // it has not heard of the leader yet
			}
			text := strings.Join(st.GetProblems(), "\n")
			if row.problem == "" {
				return text == "" // on a machine that is busy etcd may not answer within the second that it is given
			}
			return strings.Contains(text, row.problem) // what was asked just before is answered without the leader
		})
	}
}

// TestStatusOfAnyCoordinator proves that a follower's own answer about the cluster names the leader and all
// who stand for election, and that without etcd it says that, with those that it knew.
func TestStatusOfAnyCoordinator(t *testing.T) {
	etcd, stopEtcd := listenEtcd(t)
	store := t.TempDir()
	first := startWith(t, together(t, "c1", etcd, store))
	first.awaitLeader(t)
	second := startWith(t, together(t, "c2", etcd, store))
	own := metadata.AppendToOutgoingContext(t.Context(), wire.MetaDirect, "1")
	var st *pb.GetStatusResponse
	until(t, "both are known", func() bool {
		var err error
		st, err = ask(own, t, second.Address(), insecure.NewCredentials())
		return err == nil && len(st.GetCoordinators()) == 2
	})
	if st.GetLeader().GetName() != "c1" || !st.GetCoordinators()[0].GetLeader() || st.GetCoordinators()[1].GetLeader() || len(st.GetProblems()) > 0 {
		t.Errorf("status %v", st)
	}
	until(t, "the leader knows both", func() bool { others, _ := first.standing.ask(); return len(others) == 2 })
	stopEtcd()
	for _, n := range []*served{first, second} {
		st, err := ask(own, t, n.Address(), insecure.NewCredentials())
		text := strings.Join(st.GetProblems(), "\n")
		if err != nil || !strings.Contains(text, fmt.Sprintf("etcd does not answer coordinator %s", n.opts.Name)) || len(st.GetCoordinators()) != 2 {
			t.Errorf("without etcd %s says %v, %v", n.opts.Name, st, err)
		}
	}
	// What a follower passes on it does not keep to itself: the leader does not know that it has no etcd either.
	st, err := ask(t.Context(), t, second.Address(), insecure.NewCredentials())
	for _, name := range []string{"c1", "c2"} {
		if text := strings.Join(st.GetProblems(), "\n"); err != nil || strings.Count(text, "etcd does not answer coordinator "+name) != 1 {
			t.Errorf("without etcd c2 passes on %q, %v; want that %s has none", text, err, name)
		}
	}
}

// TestFollowOnlyForward proves that what is known of a leader is never replaced by an earlier one, which a
// slow read of etcd may bring after another coordinator has told of the later one.
func TestFollowOnlyForward(t *testing.T) {
	c, err := New(t.Context(), options(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		c.relay.Close()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	later := wire.Leader{Name: "c3", Address: "127.0.0.1:3", Epoch: 9}
	c.follow(later)
	c.follow(wire.Leader{Name: "c2", Address: "127.0.0.1:2", Epoch: 5})
	if c.standing.leader != later {
		t.Errorf("leader %+v, want %+v", c.standing.leader, later)
	}
	c.follow(wire.Leader{})
	c.follow(wire.Leader{Name: "c2", Address: "127.0.0.1:2", Epoch: 5})
	if c.standing.leader.Epoch != 0 {
		t.Errorf("leader %+v after there is none", c.standing.leader)
	}
}
