package load

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"proofload/internal/scenario"
)

// Clock is run time.
type Clock interface {
	// Now returns the run time: how long ago T0 was, negative before it. It never goes back.
	Now() time.Duration
	// Both returns the run time, and the same instant for time spans.
	Both() (time.Duration, time.Time)
}

// HostLoad is how busy the machine was since it was last asked. Shares are 0 to 1.
type HostLoad struct {
	BusiestCore float64 // share of its time that the busiest core worked
	Own         float64 // share of the processors that this process may use which it used
	Throttled   float64 // share of the time in which a quota kept this process from running
}

// Host measures the machine.
type Host interface {
	// Load returns how busy the machine was since the previous call; it is called once per second.
	Load() HostLoad
}

// Options are what an Engine needs. Plan, Clock and Logger are required; Files is if the plan
// has files.
type Options struct {
	Plan   *scenario.Plan
	Worker string // this worker's name
	Clock  Clock
	// Files returns the content of a file of the scenario by its digest.
	Files   func(digest string) ([]byte, error)
	Secrets map[string]string // values of ${secret.NAME}; never logged
	Host    Host              // nil: the machine is not judged
	// AllowProgram says why a program may not be run on this worker; nil: none may.
	AllowProgram func(path string) error
	// NewWaiter makes the pacer's Waiter; nil: the most precise one of this system.
	NewWaiter func() (Waiter, error)
	// Drain bounds how long work in flight may go on once no more is started, though the schedule has not ended; then it is
	// cut. When the run is halted, it has no more than scenario.StopTime.
	// 0: scenario.DefaultTimeout.
	Drain  time.Duration
	Logger hclog.Logger
}

// validate returns all that is wrong, joined.
func (o *Options) validate() error {
	var errs []error
	if o.Plan == nil {
		return errors.New("plan is missing")
	}
	if o.Plan.Format != scenario.PlanFormat {
		errs = append(errs, fmt.Errorf("plan has format %d, this worker reads %d", o.Plan.Format, scenario.PlanFormat))
	}
	if o.Clock == nil {
		errs = append(errs, errors.New("clock is missing"))
	}
	if o.Logger == nil {
		errs = append(errs, errors.New("logger is missing"))
	}
	if files := o.Plan.Files(); len(files) > 0 && o.Files == nil {
		errs = append(errs, fmt.Errorf("file %s: there are no files", files[0].Name))
	}
	for _, p := range o.Plan.Phases {
		if len(p.Mix) == 0 || (len(p.Rate) > 0) == (len(p.Users) > 0) {
			errs = append(errs, fmt.Errorf("phase %s has no flow, or not exactly one of rate and users", p.Name))
		}
		for _, w := range p.Mix {
			if _, ok := o.Plan.Flows[w.Flow]; !ok {
				errs = append(errs, fmt.Errorf("phase %s: flow %s is not in the plan", p.Name, w.Flow))
			}
		}
	}
	return errors.Join(errs...)
}

// withDefaults fills in what was left open.
func (o Options) withDefaults() Options {
	if o.NewWaiter == nil {
		o.NewWaiter = newPreciseWaiter
	}
	if o.Drain == 0 {
		o.Drain = scenario.DefaultTimeout
	}
	return o
}

// permit says which programs of the plan may not be run on this worker.
func (o *Options) permit() error {
	var errs []error
	for _, program := range o.Plan.Programs() {
		if o.AllowProgram == nil {
			errs = append(errs, fmt.Errorf("program %s is not allowed here", program))
		} else if err := o.AllowProgram(program); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
