package cluster

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "proofload/proto/proofload/v1"
)

// haltWithoutEtcd halts the cluster while no majority of etcd is there and two runs are live: their load ends, the
// answer says how far the halt has come, and once etcd is back both end as halted, with every sample, and no run
// begins until the halt is lifted.
func haltWithoutEtcd(t *testing.T, c *cluster, p plan, of asked) {
	t.Helper()
	in := func(zone string) plan {
		one := p
		one.zone = zone
		return one
	}
	live := []*trial{begin(t, c, in("a")), begin(t, c, in("b"))}
	live[0].await(between(live[0].draws, untilSettled, 4*time.Second))
	leader := c.leader(t)
	spared := live[0].draws.IntN(members)
	for i := range members {
		if i != spared {
			c.member(i).freeze(t)
		}
	}
	who := leader
	if of != leading {
		who = (leader + 1 + live[0].draws.IntN(coordinators-1)) % coordinators
	}
	switch of {
	case following:
		until(t, "end of the term", func() bool {
			s, err := c.front.ask(t.Context(), leader)
			return err == nil && s.GetCaretakerSince() != nil
		})
	case orphaned:
		c.coordinator(leader).kill(t)
		time.Sleep(leaseTTL)
	}
	answer := haltAt(t, c, who)
	if h := answer.GetHalt(); h.GetRecorded() || h.GetReason() != "wrong build" || h.GetAskedBy() != "the test" || answer.GetUnrecordedReason() == "" || len(answer.GetCoordinators()) == 0 {
		t.Errorf("%s answers %v, want that it has passed the halt on", of, answer)
	}
	if ids := []string{live[0].id, live[1].id}; of != orphaned && (!slices.Equal(answer.GetRunIds(), ids) || len(answer.GetToldWorkers()) != workers || len(answer.GetStoppedWorkers()) != workers) {
		t.Errorf("%s answers %v, want both runs and all %d workers", of, answer, workers)
	}
	for _, tr := range live {
		tr.target.quiet(t)
	}
	s, err := statusAt(t, c, who)
	if text := strings.Join(s.GetProblems(), "\n"); err != nil || s.GetHalt().GetReason() != "wrong build" || s.GetHalt().GetRecorded() || !strings.Contains(text, "the halt of every run that coordinator") {
		t.Errorf("status of c%d says %v, %v", who+1, s, err)
	}
	for i := range members {
		if i != spared {
			c.member(i).thaw(t)
		}
	}
	if of == orphaned {
		c.coordinator(leader).start(t)
	}
	for _, tr := range live {
		r := tr.report(t)
		tr.stopped(t, r)
		if r.Verdict.StoppedBy != "halt" {
			t.Errorf("run %s was stopped by %q", tr.id, r.Verdict.StoppedBy)
		}
	}
	until(t, "record of the halt", func() bool {
		s, err := c.front.ask(t.Context(), who)
		return err == nil && s.GetHalt().GetRecorded() && !strings.Contains(strings.Join(s.GetProblems(), "\n"), "the halt of every run")
	})
	refused(t, c, live[0])
	t.Logf("%s asked: runs %v, told %v, stopped %v, %s", of, answer.GetRunIds(), answer.GetToldWorkers(), answer.GetStoppedWorkers(), answer.GetUnrecordedReason())
	c.front.call(t, "unhalt", func(ctx context.Context, conn grpc.ClientConnInterface) error {
		_, err := pb.NewFleetServiceClient(conn).Unhalt(ctx, &pb.UnhaltRequest{RequestId: uuid.NewString()})
		return err
	})
	// What is kept anywhere must not come back: the next run goes through.
	c.awaitFree(t)
	next := in("a")
	next.length = 5 * time.Second
	begin(t, c, next).end(t)
	if s, err := statusAt(t, c, who); err != nil || s.GetHalt() != nil {
		t.Errorf("after it was lifted c%d says %v, %v", who+1, s, err)
	}
}

// haltAt asks one coordinator to halt the cluster.
func haltAt(t *testing.T, c *cluster, who int) *pb.HaltResponse {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stopWithin)
	defer cancel()
	answer, err := pb.NewFleetServiceClient(c.front.conns[who]).Halt(ctx, &pb.HaltRequest{RequestId: uuid.NewString(), Reason: "wrong build", AskedBy: "the test"})
	if err != nil {
		t.Fatalf("halt asked of c%d: %v", who+1, err)
	}
	return answer
}

// refused fails the test unless a new run is refused because of the halt, and the request that has created one
// before is answered with that.
func refused(t *testing.T, c *cluster, before *trial) {
	t.Helper()
	ask := func(request *pb.CreateRunRequest) (id string, err error) {
		err = c.front.one(t.Context(), c.leader(t), func(ctx context.Context, conn grpc.ClientConnInterface) error {
			resp, err := pb.NewRunServiceClient(conn).CreateRun(ctx, request)
			id = resp.GetRun().GetId()
			return err
		})
		return id, err
	}
	if id, err := ask(before.request); err != nil || id != before.id {
		t.Errorf("the request of run %s is answered with %q, %v", before.id, id, err)
	}
	fresh := proto.CloneOf(before.request)
	fresh.RequestId = uuid.NewString()
	_, err := ask(fresh)
	halted := slices.ContainsFunc(status.Convert(err).Details(), func(d any) bool {
		h, ok := d.(*pb.HaltInfo)
		return ok && h.GetReason() == "wrong build" && h.GetRecorded()
	})
	if status.Code(err) != codes.FailedPrecondition || !halted {
		t.Errorf("a new run is answered with %v", err)
	}
}

// TestHaltWithoutEtcd shows with one of the cases what TestHaltOfAnybody shows of all: a halt ends every run although
// nobody can record it, and no run begins until it is lifted.
func TestHaltWithoutEtcd(t *testing.T) {
	haltSeries(t, following)
}

// haltSeries halts one cluster again and again.
func haltSeries(t *testing.T, cases ...asked) {
	t.Helper()
	c := startCluster(t)
	for i, of := range cases {
		t.Run(string(of), func(t *testing.T) {
			c.awaitFree(t)
			p := endless(*from + uint64(i))
			haltWithoutEtcd(t, c, p, of)
		})
	}
}
