package worker

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"proofload/internal/agent/guard"
	pb "proofload/proto/proofload/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// registrar is a coordinator that takes obituaries.
type registrar struct {
	pb.UnimplementedWorkerServiceServer
	deaths chan *pb.ReportDeathRequest
}

// ReportDeath implements WorkerService.
func (r *registrar) ReportDeath(_ context.Context, d *pb.ReportDeathRequest) (*pb.ReportDeathResponse, error) {
	r.deaths <- d
	return &pb.ReportDeathResponse{}, nil
}

// secure serves r with TLS and returns the address and a file with the authority to trust.
func (r *registrar) secure(t *testing.T) (address, caFile string) {
	t.Helper()
	web := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	web.Close()
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
	if err := os.WriteFile(caFile, authority, 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&web.TLS.Certificates[0])))
	pb.RegisterWorkerServiceServer(server, r)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() { server.Stop(); serving.Wait() })
	return listener.Addr().String(), caFile
}

// TestGuardSpeaksTLS proves that the obituary goes by the worker's TLS, whose files the guard knows by path.
func TestGuardSpeaksTLS(t *testing.T) {
	t.Cleanup(func() { signal.Reset(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT) })
	r := &registrar{deaths: make(chan *pb.ReportDeathRequest, 1)}
	address, caFile := r.secure(t)
	ward, err := json.Marshal(guard.Ward{
		PID: os.Getpid(), Name: "w1", Join: []string{address}, TLS: guard.TLS(TLSOptions{CAFile: caFile}), // not our parent
		Life: guard.Life{Instance: "8b0bff5e-4a4e-4a5c-8a0c-3d5a2f6a9f01", Nonce: "8b0bff5e-4a4e-4a5c-8a0c-3d5a2f6a9f02", Incarnation: 7},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := Watch(t.Context(), strings.NewReader(string(ward)+"\n"), hclog.NewNullLogger()); err != nil {
		t.Fatal(err)
	}
	select {
	case d := <-r.deaths:
		if d.GetName() != "w1" || d.GetIncarnation() != 7 {
			t.Errorf("obituary = %v", d)
		}
	case <-time.After(time.Minute):
		t.Fatal("there was no obituary")
	}
}

// TestNoGuardUnlessAsked proves that a worker inside another program, as those of a local run are, starts no
// process.
func TestNoGuardUnlessAsked(t *testing.T) {
	if g := (Options{Logger: hclog.NewNullLogger()}).guard("local-1"); g != nil {
		t.Error("there is a guard of no program")
	}
	if g := (Options{Logger: hclog.NewNullLogger(), Guard: Program{Path: "worker", Args: []string{"worker", "guard"}}}).guard("w1"); g == nil {
		t.Error("there is no guard")
	}
}
