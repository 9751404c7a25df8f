package api

import (
	"cmp"
	"context"
	"errors"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"proofload/internal/wire"
	pb "proofload/proto/proofload/v1"
)

// fleetService implements FleetService.
type fleetService struct {
	pb.UnimplementedFleetServiceServer
	server *Server
}

var workerStates = map[string]pb.WorkerState{
	"free": pb.WorkerState_WORKER_STATE_FREE, "busy": pb.WorkerState_WORKER_STATE_BUSY,
	"draining": pb.WorkerState_WORKER_STATE_DRAINING, "lost": pb.WorkerState_WORKER_STATE_LOST,
}

func (s *fleetService) ListWorkers(_ context.Context, r *pb.ListWorkersRequest) (*pb.ListWorkersResponse, error) {
	b, err := s.server.reader()
	if err != nil {
		return nil, statusOf(err)
	}
	out := &pb.ListWorkersResponse{}
	for _, w := range b.Cluster.Workers() {
		if carries(w.Labels, r.GetMatch()) {
			out.Workers = append(out.Workers, workerToProto(w))
		}
	}
	return out, nil
}

func (s *fleetService) DrainWorker(ctx context.Context, r *pb.DrainWorkerRequest) (*pb.DrainWorkerResponse, error) {
	b, err := s.server.backend()
	if err != nil {
		return nil, statusOf(err)
	}
	if err := b.Conductor.Drain(ctx, r.GetName(), cmp.Or(r.GetReason(), "drained by an operator")); err != nil {
		if errors.Is(err, ErrNotLeading) {
			err = s.server.notLeading()
		}
		return nil, statusOf(err)
	}
	return &pb.DrainWorkerResponse{}, nil
}

func carries(labels, match map[string]string) bool {
	for name, value := range match {
		if labels[name] != value {
			return false
		}
	}
	return true
}

func workerToProto(w Worker) *pb.Worker {
	m := &pb.Worker{
		Name: w.Name, Labels: w.Labels, Capacity: w.Capacity, State: workerStates[w.State], RunId: w.Run,
		Version: w.Version, Hostname: w.Hostname, Platform: w.Platform, Cpus: w.CPUs, MemoryBytes: w.MemoryBytes,
		AttachTime: timestamppb.New(w.Attached), LastHeardTime: timestamppb.New(w.LastHeard),
		Incarnation: w.Incarnation, UnackedBatches: w.Unacked,
	}
	if w.Bound > 0 {
		m.ClockBound = durationpb.New(w.Bound)
	}
	return m
}

func (s *fleetService) GetStatus(ctx context.Context, _ *pb.GetStatusRequest) (*pb.GetStatusResponse, error) {
	cluster, since, err := s.server.cluster()
	if err != nil {
		return nil, statusOf(err)
	}
	st, err := cluster.Status(ctx)
	if err != nil {
		return nil, statusOf(err)
	}
	out := &pb.GetStatusResponse{
		Leader: wire.LeaderToProto(st.Leader), Problems: st.Problems, Version: s.server.version, Workers: map[string]int32{},
		Halt: wire.HaltedToProto(st.Halted),
	}
	if !since.IsZero() {
		out.CaretakerSince = timestamppb.New(since)
	}
	for _, c := range st.Coordinators {
		out.Coordinators = append(out.Coordinators, &pb.Coordinator{Name: c.Name, Address: c.Address, Leader: c.Epoch != 0})
	}
	for _, v := range st.Active {
		out.ActiveRuns = append(out.ActiveRuns, wire.RunToProto(v))
	}
	for _, w := range cluster.Workers() {
		out.Workers[w.State]++
	}
	return out, nil
}
