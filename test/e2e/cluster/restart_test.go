package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// restartInTurn restarts one coordinator after the other, as an upgrade does.
func restartInTurn(t *testing.T, c *cluster, p plan) outcome {
	t.Helper()
	tr := begin(t, c, p)
	tr.await(between(tr.draws, untilSettled, 5*time.Second))
	began := time.Now()
	led := 0 // how often it was the leader's turn
	for _, i := range tr.draws.Perm(coordinators) {
		time.Sleep(between(tr.draws, 0, 2*time.Second)) // so that the next is restarted in any state of the one before
		if c.leader(t) == i {
			led++
		}
		c.coordinator(i).interrupt(t)
		c.tells(t, time.Now().Add(comesWithin), without(i))
		c.coordinator(i).start(t)
		until(t, "answer of the coordinator that was started again", func() bool { return c.front.serves(t.Context(), i) })
	}
	tr.note = fmt.Sprintf("all coordinators restarted in turn within %.1f s, the leader %d times", time.Since(began).Seconds(), led)
	o := tr.end(t)
	o.unharmed(t, 1+led)
	return o
}

// killAll kills all coordinators at once and starts them again within the grace.
func killAll(t *testing.T, c *cluster, p plan) outcome {
	t.Helper()
	tr := begin(t, c, p)
	at := between(tr.draws, untilSettled, p.length-2*time.Second)
	away := between(tr.draws, 0, 6*time.Second)
	tr.await(at)
	killed, epoch := time.Now(), tr.commits.last().epoch
	for i := range coordinators {
		c.coordinator(i).kill(t)
	}
	if said := c.words(t.Context()); slices.ContainsFunc(said, func(line string) bool { return !strings.Contains(line, "Unavailable") }) {
		t.Errorf("coordinators that are dead say %q", said)
	}
	tr.await(at + away)
	for i := range coordinators {
		c.coordinator(i).start(t)
	}
	restarted := time.Now()
	said := c.meanwhile(t)
	tr.note = fmt.Sprintf("all coordinators killed at %.2f s and started again %.1f s later, status %q", at.Seconds(), restarted.Sub(killed).Seconds(), said)
	tr.report(t)
	// Engines take seconds to start three containers; nobody can commit before there is anybody.
	tr.replaced(restarted, epoch)
	o := tr.end(t)
	o.unharmed(t, 2)
	o.soon(t)
	return o
}
