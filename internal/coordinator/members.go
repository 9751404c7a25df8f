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
	return all, append(problems, c.unsettled()...)
}
