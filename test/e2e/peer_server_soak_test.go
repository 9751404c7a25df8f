//go:build soak && linux

package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// webServer starts an nginx with one process, which answers everything with two bytes.
func webServer(t *testing.T) string {
	t.Helper()
	return nginx(t, "")
}

// nghttpd starts an nghttpd on the server's core, which has a file of two bytes. It answers many streams with one
// write, as nginx does not.
func nghttpd(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("nghttpd"); err != nil {
		t.Skip("needs nghttpd, which is not installed: make bench-peers installs it where it may")
	}
	addr, dir := freeAddress(t), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte("ok"), 0o600); err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command("taskset", "-c", serverCore, "nghttpd", "-a", host, "--no-tls", "-d", dir, port)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself, which the log tells
		_ = cmd.Wait()
	})
	until(t, "nghttpd", func() bool {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
		return err == nil && c.Close() == nil
	})
	return addr
}

// nginx starts an nginx on the server's core, with more words on its line listen, and returns its address.
func nginx(t *testing.T, listen string) string {
	t.Helper()
	if _, err := exec.LookPath("nginx"); err != nil {
		t.Skip("needs nginx, which is not installed: make bench-peers installs it where it may")
	}
	addr, dir := freeAddress(t), t.TempDir()
	conf := fmt.Sprintf(`daemon off;
worker_processes 1;
pid nginx.pid;
events { worker_connections 4096; }
http {
	access_log off;
	client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
	keepalive_requests 1000000000;
	server { listen %s %s; location / { return 200 "ok"; } }
}
`, addr, listen)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command("taskset", "-c", serverCore, "nginx", "-p", dir, "-c", file, "-e", "stderr")
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself, which Wait tells
		if err := cmd.Wait(); err != nil {
			t.Errorf("nginx: %v\n%s", err, &log)
		}
	})
	until(t, "nginx", func() bool {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
	return addr
}

// grpcServer starts a server of grpc-go, with health checks and reflection, on the server's core.
func grpcServer(t *testing.T) string {
	t.Helper()
	addr, file := freeAddress(t), filepath.Join(t.TempDir(), "grpctarget")
	if out, err := exec.Command("go", "build", "-o", file, "./grpctarget").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	var log bytes.Buffer
	cmd := exec.Command("taskset", "-c", serverCore, file, addr)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself, which the log tells
		_ = cmd.Wait()
	})
	until(t, "the gRPC server", func() bool {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
		return err == nil && c.Close() == nil
	})
	return addr
}
