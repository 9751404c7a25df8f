package coordinator

import (
	"context"

	"proofload/internal/api"
	"proofload/internal/relay"
)

// bystander answers for the status of the cluster where no leader does.
type bystander struct{ coordinator *Coordinator }

// Workers implements api.Cluster: only a leader knows them.
func (bystander) Workers() []api.Worker { return nil }

// Status implements api.Cluster.
func (b bystander) Status(ctx context.Context) (api.Status, error) {
	all, problems := b.coordinator.troubles(ctx)
	b.coordinator.standing.mu.Lock()
	s := api.Status{Leader: b.coordinator.standing.leader, Coordinators: all, Problems: problems}
	b.coordinator.standing.mu.Unlock()
	if h, ok := b.coordinator.inForce(); ok {
		s.Halted = &h
	}
	switch away := relay.Away(ctx); {
	case away != "":
		s.Problems = append(s.Problems, away)
	case s.Leader.Epoch == 0:
		s.Problems = append(s.Problems, "no leader is elected: runs go on for as long as their workers' leases last, and take no commands")
	case s.Leader.Name == b.coordinator.opts.Name && s.Leader.Address == b.coordinator.opts.Advertise:
		s.Problems = append(s.Problems, "leader "+s.Leader.Name+" is taking over, and takes no requests yet")
	}
	return s, nil
}
