package load

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"proofload/internal/load/transport"
	"proofload/internal/metric"
	"proofload/internal/scenario"
)

// fewDescriptors says to a copy of the test program that it is the one that runs out of descriptors.
const fewDescriptors = "PROOFLOAD_TEST_FEW_DESCRIPTORS"

// opening serves each protocol, with a new connection for each request.
func opening() []keeping {
	return append(spoken(), keeping{"program", func(*testing.T, *tally) (scenario.Target, scenario.Step) {
		return scenario.Target{URL: "http://127.0.0.1:1"}, scenario.Step{Program: &scenario.Program{Argv: []string{"/bin/true"}}}
	}})
}

// TestDescriptorLimit: a request for which this process has no descriptor left is an error of the generator, whatever
// is spoken, and never sent. It is another process that runs out of them; this one shows that the same requests go well.
func TestDescriptorLimit(t *testing.T) {
	child := os.Getenv(fewDescriptors) != ""
	if child {
		limit := syscall.Rlimit{Cur: 128, Max: 128}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}
	for _, protocol := range opening() {
		t.Run(protocol.name, func(t *testing.T) {
			target, step := protocol.make(t, newTally(t))
			target.Connections = &scenario.Connections{Reuse: scenario.ReuseNever}
			step.Name, step.Timeout = "s", time.Minute
			if step.Program == nil {
				step.Target = scenario.DefaultTarget
			}
			phase := openPhase("p", [3]float64{20, 20, 0.2})
			phase.Late = time.Minute // a machine without a free core is no error of this test
			plan := planOf(phase)
			plan.Targets = map[string]scenario.Target{scenario.DefaultTarget: target}
			plan.Flows["f"] = scenario.Flow{Steps: []scenario.Step{step}}
			clock := simClock{time.Now()}
			e := prepared(t, Options{Plan: plan, Clock: clock, Logger: hclog.NewNullLogger(), AllowProgram: func(string) error { return nil }})
			if child {
				exhaust(t)
			}
			e.Apply(State{Revision: 1, Ranges: allRanges})
			e.SetLease(never)
			if err := e.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			s := e.Seal(second(clock.Now()))
			a := s.Arrivals[metric.ArrivalKey{Phase: "p", Flow: "f"}]
			requests, failed := s.Requests()
			if !child {
				if a.Sent == 0 || a.Failed != 0 || requests != a.Sent || failed != 0 {
					t.Errorf("arrivals %+v, %d requests, errors %v", *a, requests, errorsOf(s))
				}
				return
			}
			unsent := s.Select(metric.Unsent, func(l metric.Labels) bool { return l.Get("error") == string(transport.KindTooManyFiles) })
			if a.Sent == 0 || a.Failed != a.Sent || requests != 0 || unsent.Count() != uint64(a.Sent) || !slices.Contains(s.Causes, CauseResources) {
				t.Errorf("arrivals %+v, %d requests, %d unsent, errors %v, causes %v; want all unsent", *a, requests, unsent.Count(), errorsOf(s), s.Causes)
			}
		})
	}
	if child {
		return
	}
	t.Run("none left", func(t *testing.T) {
		program, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestDescriptorLimit$", "-test.count=1", "-test.timeout=300s")
		cmd.Env = append(os.Environ(), fewDescriptors+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

// exhaust takes all descriptors that there are, until the test ends. Of what was closed before some may be given
// back a little later, so it goes on until there has been none for a while.
func exhaust(t *testing.T) {
	const quiet = 5
	for still := 0; still < quiet; {
		f, err := os.Open(os.DevNull)
		switch {
		case err == nil:
			t.Cleanup(func() { _ = f.Close() })
			still = 0
		case errors.Is(err, syscall.EMFILE):
			still++
			time.Sleep(20 * time.Millisecond)
		default:
			t.Fatal(err)
		}
	}
}
