package stores

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"go.uber.org/goleak"

	"proofload/internal/result/blob"
	"proofload/internal/result/blob/cloud"
)

const (
	gatewayModule = "github.com/versity/versitygw"
	accessKey     = "proofload"
	secretKey     = "hunter2hunter2hunter2"
)

// binaries is where the gateway is built, for all tests of this process.
var binaries string

func TestMain(m *testing.M) {
	flag.Parse()
	cloud.Register()
	code := func() int {
		var err error
		if binaries, err = os.MkdirTemp("", "proofload-stores"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(binaries) }()
		return m.Run()
	}()
	// What the fake of Google Cloud Storage starts for the life of the process.
	if err := goleak.Find(goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start")); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "goroutines are left after the tests:", err)
		code = 1
	}
	os.Exit(code)
}

// built returns the gateway's program. It is built once, from the module that go.mod pins; skip is why it
// cannot be, when the module is not to be had.
var built = sync.OnceValues(func() (skip string, err error) {
	if out, err := exec.Command("go", "mod", "download", gatewayModule).CombinedOutput(); err != nil {
		return fmt.Sprintf("the module %s cannot be downloaded: %v: %s", gatewayModule, err, out), nil
	}
	build := exec.Command("go", "build", "-o", gatewayPath(), gatewayModule+"/cmd/versitygw")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the gateway: %w\n%s", err, out)
	}
	return "", nil
})

func gatewayPath() string { return filepath.Join(binaries, "versitygw") }

// gateway is an S3 server that is not ours, over a directory.
type gateway struct {
	t       testing.TB
	address string
	dir     string
	flags   []string
	process *exec.Cmd
	buckets int
}

// startGateway starts a gateway on an empty directory; the test's end stops it. It also puts the gateway's
// credentials into the environment.
func startGateway(t *testing.T, flags ...string) *gateway {
	t.Helper()
	switch skip, err := built(); {
	case err != nil:
		t.Fatal(err)
	case skip != "":
		t.Skip(skip)
	}
	none := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": accessKey, "AWS_SECRET_ACCESS_KEY": secretKey, "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_REGION": "",
		"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none, "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	g := &gateway{t: t, dir: t.TempDir(), address: freeAddress(t), flags: flags}
	for _, sub := range []string{"data", "meta"} {
		if err := os.Mkdir(filepath.Join(g.dir, sub), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	g.start()
	t.Cleanup(g.kill)
	return g
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// start starts the process, and returns when it answers. Metadata lie in a directory of their own, since not
// every file system of a test has extended attributes.
func (g *gateway) start() {
	g.t.Helper()
	args := append([]string{"--port", g.address, "--quiet", "--health", "/health"}, g.flags...)
	args = append(args, "posix", "--sidecar", filepath.Join(g.dir, "meta"), filepath.Join(g.dir, "data"))
	g.process = exec.Command(gatewayPath(), args...)
	g.process.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+accessKey, "ROOT_SECRET_KEY="+secretKey)
	if err := g.process.Start(); err != nil {
		g.t.Fatal(err)
	}
	client := &http.Client{Timeout: time.Second}
	defer client.CloseIdleConnections()
	for range 300 {
		req, err := http.NewRequestWithContext(context.WithoutCancel(g.t.Context()), http.MethodGet, "http://"+g.address+"/health", http.NoBody)
		if err != nil {
			g.t.Fatal(err)
		}
		if resp, err := client.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	g.t.Fatal("the gateway does not answer")
}

// kill ends the gateway without a warning.
func (g *gateway) kill() {
	if g.process != nil {
		_ = g.process.Process.Kill() // it may have ended already
		_ = g.process.Wait()
		g.process = nil
	}
}

// client is one that is not the product's.
func (g *gateway) client() *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String("http://" + g.address), Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
		HTTPClient:  &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	})
}

// bucket makes a new bucket and returns the location of a store in it.
func (g *gateway) bucket(t testing.TB) string {
	t.Helper()
	g.buckets++
	name := fmt.Sprintf("bucket-%d", g.buckets)
	if _, err := g.client().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	return g.location(name)
}

func (g *gateway) location(bucket string) string {
	return "s3://" + bucket + "?s3ForcePathStyle=true&endpoint=http://" + g.address
}

// open opens a store as a coordinator does.
func open(t testing.TB, location string, opts blob.OpenOptions) (blob.Opened, error) {
	t.Helper()
	l, err := blob.ParseLocation(location)
	if err != nil {
		t.Fatal(err)
	}
	s, err := blob.Open(t.Context(), l, opts)
	if err == nil {
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Errorf("close %s: %v", l, err)
			}
		})
	}
	return s, err
}
