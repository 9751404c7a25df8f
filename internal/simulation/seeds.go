// Package simulation is what the simulations of this project share: where their seeds come from. The
// simulations themselves are tests and stand beside the code that they drive.
package simulation

import (
	"fmt"
	"os"
	"strconv"
	"testing"
)

const (
	// EnvSeeds is how many seeds each simulation runs; without it, as many as a pipeline has time for.
	EnvSeeds = "PROOFLOAD_SIM_SEEDS"
	// EnvSeed is one seed, to run it alone.
	EnvSeed = "PROOFLOAD_SIM_SEED"
)

// mostFailures is after how many seeds that failed no more are tried.
const mostFailures = 10

// Each runs check for seeds from 0 on: usual of them, or as many as the environment says. A seed that
// fails is printed with the command that runs it again. Without a word from the environment, those that
// have found something before are run as well.
func Each(t *testing.T, usual uint64, check func(t *testing.T, seed uint64), found ...uint64) {
	t.Helper()
	seeds := pick(t, usual, found)
	failed := 0
	for _, seed := range seeds {
		if failed == mostFailures {
			break
		}
		if t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { check(t, seed) }) {
			continue
		}
		failed++
		t.Logf("again: %s=%d go test -run '^%s$' (in this package)", EnvSeed, seed, t.Name())
	}
	t.Logf("%d seeds, %d failed", len(seeds), failed)
}

func pick(t *testing.T, usual uint64, found []uint64) (seeds []uint64) {
	t.Helper()
	if seed, ok := number(t, EnvSeed); ok {
		return []uint64{seed}
	}
	n, ok := number(t, EnvSeeds)
	if !ok {
		if n = usual; testing.Short() {
			n = min(n, 10)
		}
		seeds = found
	}
	for seed := range n {
		seeds = append(seeds, seed)
	}
	return seeds
}

func number(t *testing.T, name string) (n uint64, ok bool) {
	t.Helper()
	text, ok := os.LookupEnv(name)
	if !ok || text == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w", name, err))
	}
	return n, true
}
