package cli

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"proofload/internal/scenario"
	pb "proofload/proto/proofload/v1"
)

// client is a connection to whichever of several coordinators leads. It is used from one goroutine.
type client struct {
	addresses []string
	creds     credentials.TransportCredentials
	extra     []grpc.DialOption // for tests
	conn      *grpc.ClientConn
}

func newClient(addresses []string, creds credentials.TransportCredentials) *client {
	return &client{addresses: addresses, creds: creds}
}

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

func (c *client) dial(address string) error {
	c.close()
	conn, err := grpc.NewClient(address, append([]grpc.DialOption{
		grpc.WithTransportCredentials(c.creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16 << 20)),
		// A watch receives nothing while nothing happens: without this it would wait for ever for a
		// coordinator whose machine is gone.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
		// The leader that a coordinator names may be out of reach from here, while that coordinator is not.
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: 5 * time.Second}),
	}, c.extra...)...)
	if err != nil {
		return usage("coordinator address %q: %w", address, err)
	}
	c.conn = conn
	return nil
}

// call runs fn against the leader: it tries the addresses in turn and follows the one that a
// coordinator which does not lead names.
func (c *client) call(fn func(runs pb.RunServiceClient, fleet pb.FleetServiceClient) error) error {
	var last error
	tried := map[string]bool{}
	if c.conn != nil {
		if last = fn(pb.NewRunServiceClient(c.conn), pb.NewFleetServiceClient(c.conn)); !elsewhere(last) {
			return last
		}
	}
	queue := append([]string(nil), c.addresses...)
	if leader := leaderAddress(last); leader != "" {
		queue = append([]string{leader}, queue...)
	}
	for len(queue) > 0 {
		address := queue[0]
		queue = queue[1:]
		if tried[address] {
			continue
		}
		tried[address] = true
		if err := c.dial(address); err != nil {
			return err
		}
		last = fn(pb.NewRunServiceClient(c.conn), pb.NewFleetServiceClient(c.conn))
		if !elsewhere(last) {
			return last
		}
		if leader := leaderAddress(last); leader != "" {
			queue = append([]string{leader}, queue...)
		}
	}
	c.close()
	if unanswered(last) {
		return exitUnreachable(c.addresses, last)
	}
	return last
}

// checkAddresses refuses an empty address, which would be taken for this machine, and one without a port, which
// would be tried in vain.
func checkAddresses(flag string, addresses []string) error {
	if len(addresses) == 0 || slices.Contains(addresses, "") {
		return usage("%s: an address is missing: give ADDR[,ADDR]", flag)
	}
	for _, a := range addresses {
		if strings.Contains(a, "://") || strings.HasPrefix(a, "unix:") {
			continue // a target of gRPC's own kinds
		}
		if _, port, err := net.SplitHostPort(a); err != nil || port == "" {
			return usage("%s %s: give HOST:PORT; a coordinator listens on port 7470 unless told otherwise", flag, a)
		}
	}
	return nil
}

// elsewhere reports whether another coordinator may answer better.
func elsewhere(err error) bool { return unanswered(err) || hasLeaderInfo(err) }

// unanswered reports whether no coordinator has answered. A leader that cannot serve yet has: it tells, in a detail,
// when to ask it again.
func unanswered(err error) bool {
	return status.Code(err) == codes.Unavailable && len(status.Convert(err).Details()) == 0
}

func hasLeaderInfo(err error) bool {
	st, ok := status.FromError(err)
	if err == nil || !ok {
		return false
	}
	for _, d := range st.Details() {
		if _, ok := d.(*pb.LeaderInfo); ok {
			return true
		}
	}
	return false
}

func leaderAddress(err error) string {
	st, ok := status.FromError(err)
	if err == nil || !ok {
		return ""
	}
	for _, d := range st.Details() {
		if l, ok := d.(*pb.LeaderInfo); ok {
			return l.GetAddress()
		}
	}
	return ""
}

func exitUnreachable(addresses []string, err error) error {
	return exit(69, errors.New("no coordinator answers at "+strings.Join(addresses, ", ")+
		": is one running there? (name another with --coordinator ADDR): "+status.Convert(err).Message()))
}

// source reads a scenario with all that has to come along with it.
func (a *app) source(fsys fs.FS, name string, o runOptions) (*pb.ScenarioSource, map[string][]byte, error) {
	needed, err := scenario.Needs(fsys, name, scenario.Options{Environment: o.environment, Set: o.set, Getenv: a.getenv})
	if err != nil {
		return nil, nil, err
	}
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, nil, usage("scenario: %w", err)
	}
	if err := utf8Text("the name of the scenario file", name); err != nil {
		return nil, nil, usage("%w", err)
	}
	for name, value := range needed.Env {
		if err := utf8Text("the value of "+name+", which ${env."+name+"} reads,", value); err != nil {
			return nil, nil, usage("%w", err)
		}
	}
	src := &pb.ScenarioSource{
		FileName: name, Scenario: text, Environment: o.environment, Set: o.set, Confirm: o.confirm,
		Files: map[string]string{}, Env: needed.Env,
	}
	if o.given("seed") {
		src.Seed = &o.seed
	}
	content := map[string][]byte{}
	for _, file := range needed.Files {
		data, err := fs.ReadFile(fsys, file)
		if err != nil {
			return nil, nil, usage("scenario: %w", err)
		}
		digest := scenario.Digest(data)
		src.Files[file], content[digest] = digest, data
	}
	return src, content, nil
}

// upload ships files; those that are there already cost little.
func upload(ctx context.Context, runs pb.RunServiceClient, content map[string][]byte) error {
	for digest, data := range content {
		stream, err := runs.UploadFile(ctx)
		if err != nil {
			return err
		}
		first := true
		for first || len(data) > 0 {
			n := min(len(data), 512<<10)
			m := &pb.UploadFileRequest{Data: data[:n]}
			if first {
				m.Digest = digest
			}
			if err := stream.Send(m); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			data, first = data[n:], false
		}
		if _, err := stream.CloseAndRecv(); err != nil {
			return err
		}
	}
	return nil
}

// report fetches one report.
func report(ctx context.Context, runs pb.RunServiceClient, id string, format pb.ReportFormat) ([]byte, error) {
	stream, err := runs.GetReport(ctx, &pb.GetReportRequest{RunId: id, Format: format})
	if err != nil {
		return nil, err
	}
	var data []byte
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return data, nil
		}
		if err != nil {
			return nil, err
		}
		data = append(data, m.GetData()...)
	}
}

func requestID() string { return uuid.NewString() }
