package cluster

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	pb "proofload/proto/proofload/v1"
)

// wordWithin bounds one answer to the question how the cluster is: a follower waits 8 s for a leader that says nothing
// before it answers itself.
const wordWithin = 12 * time.Second

// words returns what each coordinator says of the cluster now, a line for each: who leads, who stands for election,
// and what is wrong.
func (c *cluster) words(ctx context.Context) []string {
	lines := make([]string, len(c.front.conns))
	var asking sync.WaitGroup
	for i := range lines {
		asking.Go(func() { lines[i] = c.word(ctx, i) })
	}
	asking.Wait()
	return lines
}

// word returns what one coordinator says of the cluster.
func (c *cluster) word(ctx context.Context, i int) string {
	ctx, cancel := context.WithTimeout(ctx, wordWithin)
	defer cancel()
	s, err := pb.NewFleetServiceClient(c.front.conns[i]).GetStatus(ctx, &pb.GetStatusRequest{})
	if err != nil {
		return fmt.Sprintf("c%d: %v", i+1, err)
	}
	var line strings.Builder
	fmt.Fprintf(&line, "c%d: leader %s of", i+1, s.GetLeader().GetName())
	for _, one := range s.GetCoordinators() {
		line.WriteString(" " + one.GetName())
	}
	if s.GetCaretakerSince() != nil {
		line.WriteString(", caretaker")
	}
	return strings.Join(append([]string{line.String()}, s.GetProblems()...), "; ")
}

// tells waits until some coordinator says each of what is wanted, which are regular expressions, and fails the test
// unless that is before what is wrong ends. It returns what was said.
func (c *cluster) tells(t *testing.T, end time.Time, want ...string) []string {
	t.Helper()
	var all []*regexp.Regexp
	for _, one := range want {
		all = append(all, regexp.MustCompile(one))
	}
	for {
		said := c.words(t.Context())
		left := slices.DeleteFunc(slices.Clone(all), func(r *regexp.Regexp) bool { return slices.ContainsFunc(said, r.MatchString) })
		if len(left) == 0 {
			return said
		}
		if time.Now().After(end) {
			t.Errorf("no coordinator says %q of what is wrong: %q", left, said)
			return said
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// another is what the others say once a leader, by its number from 0, leads no more.
func another(leader int) string { return fmt.Sprintf(`^c[^%[1]d]: leader c[^%[1]d] of`, leader+1) }

// memberSilent is what a coordinator says of a member of etcd, by its number from 0.
func memberSilent(member int) string {
	return fmt.Sprintf(`etcd member e%d(:2379| at \S+) does not answer coordinator c`, member+1)
}

// without is what the others say while a coordinator, by its number from 0, does not run: one of them leads, and it
// does not stand for election.
func without(i int) string {
	return fmt.Sprintf(`^c[^%[1]d]: leader c[^%[1]d] of c[^%[1]d] c[^%[1]d]$`, i+1)
}

// meanwhile waits until a coordinator leads, and fails the test unless each answer until then says that none does. It
// returns what was said.
func (c *cluster) meanwhile(t *testing.T) (said []string) {
	t.Helper()
	until(t, "leader", func() bool {
		line := c.word(t.Context(), 0)
		switch {
		case strings.Contains(line, "Unavailable"): // it starts
			return false
		case strings.HasPrefix(line, "c1: leader c") && !strings.Contains(line, ";"):
			return true
		case !strings.Contains(line, "no leader is elected") && !strings.Contains(line, "cannot be reached") && !strings.Contains(line, "is taking over"):
			t.Errorf("while nobody leads the status says %q", line)
			return true
		}
		if !slices.Contains(said, line) {
			said = append(said, line)
		}
		return false
	})
	return said
}
