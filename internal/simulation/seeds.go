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
// fails is printed with the command that runs it again.
func Each(t *testing.T, usual uint64, check func(t *testing.T, seed uint64)) {
	t.Helper()
	from, to := bounds(t, usual)
	failed := 0
	for seed := from; seed < to && failed < mostFailures; seed++ {
		if t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { check(t, seed) }) {
			continue
		}
		failed++
		t.Logf("again: %s=%d go test -run '^%s$' (in this package)", EnvSeed, seed, t.Name())
	}
	t.Logf("%d seeds, %d failed", to-from, failed)
}

// bounds returns the first seed and the one behind the last.
func bounds(t *testing.T, usual uint64) (from, to uint64) {
	t.Helper()
	if seed, ok := number(t, EnvSeed); ok {
		return seed, seed + 1
	}
	if n, ok := number(t, EnvSeeds); ok {
		return 0, n
	}
	if testing.Short() {
		usual = min(usual, 10)
	}
	return 0, usual
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
