//go:build soak

package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// series sums up what happened with many seeds.
type series struct {
	runs           int
	lost, doubled  int64 // samples
	missing, twice int   // arrivals
	worst          float64
	worstSeed      uint64
	latest, stall  time.Duration
	nexts          []time.Duration
	verdicts       map[string]int
	failed         []uint64 // seeds
}

func (s *series) add(o outcome) {
	if s.runs == 0 {
		s.worst, s.worstSeed, s.verdicts = o.count.worst, o.plan.seed, map[string]int{}
	}
	s.runs++
	s.lost += o.lost()
	s.doubled += o.doubled()
	s.missing += len(o.count.missing)
	s.twice += len(o.count.doubled)
	if o.count.worst < s.worst {
		s.worst, s.worstSeed = o.count.worst, o.plan.seed
	}
	s.latest, s.stall = max(s.latest, o.count.latest), max(s.stall, o.count.stall)
	if o.gap.next > 0 {
		s.nexts = append(s.nexts, o.gap.next)
	}
	s.verdicts[o.report.Verdict.Result]++
}

// String is the line for docs/reliability.md.
func (s series) String() string {
	var verdicts []string
	for _, v := range slices.Sorted(maps.Keys(s.verdicts)) {
		verdicts = append(verdicts, fmt.Sprintf("%d %s", s.verdicts[v], v))
	}
	line := fmt.Sprintf("%d runs, samples lost %d, doubled %d, arrivals missing %d, doubled %d, worst second %.1f %% (seed %d), latest arrival %v, machine stalled up to %v, verdicts %s",
		s.runs, s.lost, s.doubled, s.missing, s.twice, 100*s.worst, s.worstSeed, s.latest.Round(time.Millisecond), s.stall.Round(time.Millisecond), strings.Join(verdicts, ", "))
	if n := len(s.nexts); n > 0 {
		sorted := slices.Sorted(slices.Values(s.nexts))
		over := len(slices.DeleteFunc(slices.Clone(sorted), func(d time.Duration) bool { return d <= failover }))
		line += fmt.Sprintf(", next commit after %.2f s (median) to %.2f s, %d of %d after more than %v", sorted[n/2].Seconds(), sorted[n-1].Seconds(), over, n, failover)
	}
	return fmt.Sprintf("%s, failed seeds %v", line, s.failed)
}
