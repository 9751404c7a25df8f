package e2e

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"proofload/internal/load/httpload"
	"proofload/internal/load/httpload/http2load"
	"proofload/internal/load/httpload/http3load"
)

// authority signs certificates for tests, and trusts them.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir(), pool: x509.NewCertPool()}
	a.cert, a.key = nil, nil
	a.cert, a.key = a.issue(t, "authority", nil, time.Hour)
	a.pool.AddCert(a.cert)
	return a
}

// issue makes a certificate for names, valid for so long from an hour ago, and writes NAME.pem and NAME.key.
func (a *authority) issue(t *testing.T, name string, names []string, valid time.Duration) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(valid),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, n)
		}
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		c.IsCA, c.KeyUsage = true, c.KeyUsage|x509.KeyUsageCertSign
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(a.file(name+file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made, key
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// launched starts a server of others and waits until it listens on port.
func launched(t *testing.T, port int, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not here, make test-deps installs it: %v", name, err)
	}
	cmd := exec.Command(path, args...)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			t.Logf("%s: %s", name, lines.Text())
		}
	})
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		wg.Wait()
		_ = cmd.Wait()
	})
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	for {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("%s does not listen: %v", name, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// freePort returns a port of the loopback that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// pages is a directory with one page, which its server serves.
func pages(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "stock"), []byte(`{"stock": 12}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "large"), []byte(strings.Repeat("0123456789abcdef", 1<<17)), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// doer is a client of any version.
type doer interface {
	Do(ctx context.Context, req *httpload.Request, resp *httpload.Response) error
	Close() error
}

func http2Client(t *testing.T, target string, cfg *tls.Config) doer {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	c, err := http2load.NewClient(http2load.Options{Target: u, TLS: cfg})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// speaks sends many requests at once and looks at every answer.
func speaks(t *testing.T, c doer, post bool) {
	t.Helper()
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			var resp httpload.Response
			for range 60 {
				if err := c.Do(t.Context(), &httpload.Request{Method: "GET", Path: "/stock"}, &resp); err != nil || resp.Status != 200 || string(resp.Body) != `{"stock": 12}` {
					t.Errorf("%d %q, %v", resp.Status, resp.Body, err)
					return
				}
			}
		})
	}
	wg.Wait()
	var resp httpload.Response
	if err := c.Do(t.Context(), &httpload.Request{Method: "GET", Path: "/large"}, &resp); err != nil || resp.BodySize != 2<<20 {
		t.Errorf("a large page has %d bytes, %v", resp.BodySize, err)
	}
	if err := c.Do(t.Context(), &httpload.Request{Method: "GET", Path: "/none"}, &resp); err != nil || resp.Status != 404 {
		t.Errorf("a page that is not there: %d, %v", resp.Status, err)
	}
	if err := c.Do(t.Context(), &httpload.Request{Method: "HEAD", Path: "/large"}, &resp); err != nil || resp.Status != 200 || resp.BodySize != 0 {
		t.Errorf("HEAD: %d, %d bytes, %v", resp.Status, resp.BodySize, err)
	}
	if !post {
		return
	}
	body := []byte(strings.Repeat("x", 1<<20))
	if err := c.Do(t.Context(), &httpload.Request{Method: "POST", Path: "/stock", Body: body}, &resp); err != nil || resp.Status == 0 {
		t.Errorf("POST: %d, %v", resp.Status, err)
	}
}

// TestNghttpd speaks HTTP/2 with the server of nghttp2, over TLS and in clear text.
func TestNghttpd(t *testing.T) {
	a := newAuthority(t)
	a.issue(t, "server", []string{"127.0.0.1"}, time.Hour)
	dir := pages(t)
	t.Run("tls", func(t *testing.T) {
		port := freePort(t)
		launched(t, port, "nghttpd", "-a", "127.0.0.1", "-d", dir, fmt.Sprint(port), a.file("server.key"), a.file("server.pem"))
		speaks(t, http2Client(t, fmt.Sprintf("https://127.0.0.1:%d", port), &tls.Config{RootCAs: a.pool}), true)
	})
	t.Run("clear text", func(t *testing.T) {
		port := freePort(t)
		launched(t, port, "nghttpd", "-a", "127.0.0.1", "--no-tls", "-d", dir, fmt.Sprint(port))
		speaks(t, http2Client(t, fmt.Sprintf("http://127.0.0.1:%d", port), nil), true)
	})
}

// TestNginxHTTP2 speaks HTTP/2 with nginx, which ends a connection in order after a number of requests; that
// costs no request. It also asks for a client certificate.
func TestNginxHTTP2(t *testing.T) {
	a := newAuthority(t)
	a.issue(t, "server", []string{"127.0.0.1"}, time.Hour)
	a.issue(t, "client", nil, time.Hour)
	dir, port := pages(t), freePort(t)
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/nginx.pid; error_log stderr error; events { worker_connections 200; }
http { access_log off; keepalive_requests 200; client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
client_max_body_size 4m;
server { listen 127.0.0.1:%[2]d ssl http2; ssl_certificate %[3]s; ssl_certificate_key %[4]s; ssl_client_certificate %[5]s; ssl_verify_client on; root %[6]s; } }
`, t.TempDir(), port, a.file("server.pem"), a.file("server.key"), a.file("authority.pem"), dir)
	file := a.file("nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	launched(t, port, "nginx", "-c", file)
	pair, err := tls.LoadX509KeyPair(a.file("client.pem"), a.file("client.key"))
	if err != nil {
		t.Fatal(err)
	}
	target := fmt.Sprintf("https://127.0.0.1:%d", port)
	speaks(t, http2Client(t, target, &tls.Config{RootCAs: a.pool, Certificates: []tls.Certificate{pair}}), true)
	var resp httpload.Response
	err = http2Client(t, target, &tls.Config{RootCAs: a.pool}).Do(t.Context(), &httpload.Request{Method: "GET", Path: "/stock"}, &resp)
	if err != nil || resp.Status != 400 {
		t.Errorf("without a certificate: %d, %v; nginx answers 400", resp.Status, err)
	}
}

// TestQuicGo speaks HTTP/3 with the server of quic-go.
func TestQuicGo(t *testing.T) {
	a := newAuthority(t)
	a.issue(t, "server", []string{"127.0.0.1"}, time.Hour)
	pair, err := tls.LoadX509KeyPair(a.file("server.pem"), a.file("server.key"))
	if err != nil {
		t.Fatal(err)
	}
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	files := http.FileServer(http.Dir(pages(t)))
	s := &http3.Server{TLSConfig: http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{pair}}), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		files.ServeHTTP(w, r)
	})}
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(socket) })
	t.Cleanup(func() {
		_, _ = s.Close(), socket.Close()
		wg.Wait()
	})
	u, err := url.Parse("https://" + socket.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := http3load.NewClient(http3load.Options{Target: u, TLS: &tls.Config{RootCAs: a.pool}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	speaks(t, c, true)
}
