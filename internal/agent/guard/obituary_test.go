package guard

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"

	pb "proofload/proto/proofload/v1"
)

// follows refuses as a coordinator does that does not lead.
func follows(leader string) func(*pb.ReportDeathRequest) error {
	return func(*pb.ReportDeathRequest) error {
		st, err := status.New(codes.FailedPrecondition, "this coordinator does not lead").WithDetails(protoadapt.MessageV1Of(&pb.LeaderInfo{Address: leader}))
		if err != nil {
			return err
		}
		return st.Err()
	}
}

// unused is an address at which nobody listens.
const unused = "127.0.0.1:1"

// TestObituaryFindsTheLeader proves that the obituary reaches the leader wherever it is: the one that the
// worker knew, the next of the addresses, or one that only another coordinator can name.
func TestObituaryFindsTheLeader(t *testing.T) {
	rows := []struct {
		name string
		ward func(leader, follower string) Ward
	}{
		{"the one that welcomed it", func(l, _ string) Ward { return Ward{Join: []string{unused}, Life: Life{Leader: l}} }},
		{"an address", func(l, _ string) Ward { return Ward{Join: []string{unused, l}, Life: Life{Leader: unused}} }},
		{"named by a follower", func(_, f string) Ward { return Ward{Join: []string{unused, f}} }},
		{"named by the former leader", func(_, f string) Ward { return Ward{Join: []string{unused}, Life: Life{Leader: f}} }},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			leader := &registrar{}
			at := leader.serve(t)
			follower := &registrar{ReportDeathFn: follows(at)}
			w := row.ward(at, follower.serve(t))
			w.Name = "w1"
			known := w.Life.Leader
			w.Life = aLife
			w.Life.Leader = known
			if err := (&Obituary{Credentials: plain, Logger: hclog.NewNullLogger()}).Do(t.Context(), w); err != nil {
				t.Fatal(err)
			}
			if d := leader.next(t); d.GetIncarnation() != aLife.Incarnation {
				t.Errorf("obituary = %v", d)
			}
		})
	}
}

// TestObituaryIsTriedAgain proves that an election does not lose an obituary.
func TestObituaryIsTriedAgain(t *testing.T) {
	tries := 0
	r := &registrar{}
	r.ReportDeathFn = func(d *pb.ReportDeathRequest) error {
		if tries++; tries < 3 {
			return follows("")(d)
		}
		return nil
	}
	if err := (&Obituary{Credentials: plain, Logger: hclog.NewNullLogger()}).Do(t.Context(), Ward{Name: "w1", Join: []string{r.serve(t)}, Life: aLife}); err != nil {
		t.Fatal(err)
	}
	r.next(t)
}

// TestObituaryThatNobodyNeeds proves that none is sent for a worker that was never welcomed, and that the
// leader's word that another life lives ends it.
func TestObituaryThatNobodyNeeds(t *testing.T) {
	asked := 0
	r := &registrar{ReportDeathFn: func(*pb.ReportDeathRequest) error {
		asked++
		return status.Error(codes.NotFound, "incarnation 8 is known")
	}}
	o := &Obituary{Credentials: plain, Logger: hclog.NewNullLogger()}
	w := Ward{Name: "w1", Join: []string{r.serve(t)}}
	if err := o.Do(t.Context(), w); err != nil || asked != 0 {
		t.Errorf("never welcomed: %v, asked %d times", err, asked)
	}
	w.Life = aLife
	if err := o.Do(t.Context(), w); err != nil || asked != 1 {
		t.Errorf("another life lives: %v, asked %d times", err, asked)
	}
}

// TestObituaryWithoutTLS proves that files which cannot be read end the obituary with that reason, and that
// they are read when it is sent.
func TestObituaryWithoutTLS(t *testing.T) {
	missing := errors.New("there is no such file")
	o := &Obituary{Logger: hclog.NewNullLogger(), Credentials: func(files TLS) (credentials.TransportCredentials, error) {
		if files.CAFile != "ca.pem" {
			t.Errorf("asked for %+v", files)
		}
		return nil, missing
	}}
	err := o.Do(context.Background(), Ward{Name: "w1", Join: []string{unused}, Life: aLife, TLS: TLS{CAFile: "ca.pem"}})
	if !errors.Is(err, missing) {
		t.Errorf("got %v", err)
	}
}

func TestAhead(t *testing.T) {
	rows := []struct {
		at      int
		address string
		want    []string
	}{
		{0, "c", []string{"c", "a", "b"}},
		{0, "x", []string{"x", "a", "b", "c"}},
		{1, "c", []string{"a", "c", "b"}},
		{3, "x", []string{"a", "b", "c", "x"}},
		{1, "b", []string{"a", "b", "c"}},
	}
	for _, row := range rows {
		if got := ahead([]string{"a", "b", "c"}, row.at, row.address); !slices.Equal(got, row.want) {
			t.Errorf("ahead(%d, %s) = %v, want %v", row.at, row.address, got, row.want)
		}
	}
}
