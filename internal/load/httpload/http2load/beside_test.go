package http2load_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"proofload/internal/load/httpload"
)

// BenchmarkBesideH2load sends b.N requests to nghttpd with h2load and with this client, one after the other, over
// as many connections with as many streams, and reports the processor time of one request of each, and the ratio.
func BenchmarkBesideH2load(b *testing.B) {
	for _, tool := range []string{"nghttpd", "h2load"} {
		if _, err := exec.LookPath(tool); err != nil {
			b.Skipf("%s is not here, make bench-deps installs it: %v", tool, err)
		}
	}
	addr := startNghttpd(b)
	for _, shape := range []struct{ conns, streams int }{{1, 64}, {64, 1}} {
		b.Run(fmt.Sprintf("%d connections of %d", shape.conns, shape.streams), func(b *testing.B) {
			n := max(b.N, shape.conns*shape.streams)
			cmd := exec.CommandContext(b.Context(), "h2load", "-t1", fmt.Sprintf("-n%d", n), fmt.Sprintf("-c%d", shape.conns), fmt.Sprintf("-m%d", shape.streams), "http://"+addr+"/stock")
			if out, err := cmd.CombinedOutput(); err != nil {
				b.Fatalf("h2load: %v\n%s", err, out)
			}
			theirs := float64(cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()) / float64(n)
			before := cpuTime()
			sendAll(b, addr, n, shape.conns, shape.streams)
			ours := float64(cpuTime()-before) / float64(n)
			b.ReportMetric(theirs, "h2load-cpu-ns/op")
			b.ReportMetric(ours, "cpu-ns/op")
			b.ReportMetric(ours/theirs, "ratio")
		})
	}
}

func startNghttpd(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "stock"), []byte(`{"total":12.5}`), 0o600); err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	addr := l.Addr().String()
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	cmd := exec.CommandContext(b.Context(), "nghttpd", "-a", "127.0.0.1", "--no-tls", "-d", dir, fmt.Sprint(port))
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for range 500 {
		if c, err := new(net.Dialer).DialContext(b.Context(), "tcp", addr); err == nil {
			_ = c.Close()
			return addr
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.Fatal("nghttpd does not listen")
	return ""
}

// sendAll sends n requests, as many at once as there are streams of all connections.
func sendAll(b *testing.B, addr string, n, conns, streams int) {
	b.Helper()
	c := newClient(b, "http://"+addr)
	var wg sync.WaitGroup
	for range conns {
		session := c.NewSession()
		defer func() { _ = session.Close() }()
		for range streams {
			wg.Go(func() {
				var resp httpload.Response
				req := httpload.Request{Method: "GET", Path: "/stock", Session: session}
				for range n / (conns * streams) {
					if err := c.Do(b.Context(), &req, &resp); err != nil || resp.Status != 200 {
						b.Errorf("%d, %v", resp.Status, err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
}
