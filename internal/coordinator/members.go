package coordinator

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"proofload/internal/lease"
	"proofload/internal/wire"
)

// troubles reads who stands for election, the leader first, and says what keeps this coordinator from its work:
// an etcd that does not answer, members of it that do not, and stops that could not be recorded.
func (c *Coordinator) troubles(ctx context.Context) (all []wire.Leader, problems []string) {
	var silent []lease.Silent
	var asking sync.WaitGroup
	asking.Go(func() { silent = c.store.Silent(ctx, etcdWithin) })
	all, problem := c.candidates(ctx)
	asking.Wait()
	if problem != "" {
		problems = append(problems, problem)
	}
	for _, m := range silent {
		name := m.Endpoint
		if m.Name != "" {
			name = m.Name + " at " + m.Endpoint
		}
		problems = append(problems, fmt.Sprintf("etcd member %s does not answer coordinator %s: %s", name, c.opts.Name, strings.TrimSpace(m.Why)))
	}
	problems = append(problems, c.home.problems(c.opts.Name)...)
	problems = append(problems, namesakes(all)...)
	return all, append(problems, c.unsettled()...)
}

// namesakes says which coordinators cannot be told apart: what one was asked for is put down to the other, and who
// calls the one reaches the other.
func namesakes(all []wire.Leader) (problems []string) {
	for i, a := range all {
		for _, b := range all[:i] {
			switch {
			case a.Name == b.Name && a.Address != b.Address:
				problems = append(problems, fmt.Sprintf("two coordinators have the name %s, at %s and at %s: give each its own --name", a.Name, b.Address, a.Address))
			case a.Name != b.Name && a.Address == b.Address:
				problems = append(problems, fmt.Sprintf("coordinators %s and %s give the same address %s: give each its own --advertise", b.Name, a.Name, a.Address))
			}
		}
	}
	return problems
}
