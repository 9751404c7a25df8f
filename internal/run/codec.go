package run

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Encode returns the JSON form of r, in which it is stored.
func (r Run) Encode() ([]byte, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode run %s: %w", r.ID, err)
	}
	return b, nil
}

// Decode reads what Encode wrote. It is strict: unknown fields, anything behind the record, and
// records that Step could not have made are errors.
func Decode(data []byte) (Run, error) {
	var r Run
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return Run{}, fmt.Errorf("decode run: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Run{}, errors.New("decode run: there is more behind the record")
	}
	if err := r.Validate(); err != nil {
		return Run{}, fmt.Errorf("decode run %s: %w", r.ID, err)
	}
	return r, nil
}

// Validate reports all that cannot be true of a record together.
func (r Run) Validate() error {
	var problems []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	check(r.ID != "", "it has no id")
	check(r.State.Valid(), "unknown state %q", r.State)
	check(r.Factor > 0, "factor %v is not positive", r.Factor)
	check(r.Now >= 0 && r.Now <= maxRunTime, "run time %v is out of range", r.Now)
	check(r.State.Final() == (r.Verdict != nil), "state %s and verdict do not go together", r.State)
	check(r.State.Final() == (r.EndedAt != nil), "state %s and end do not go together", r.State)
	check((r.Stop != nil) == (r.State == Stopping || r.State.Final()), "state %s and stop do not go together", r.State)
	check(r.Stop == nil || r.Stop.Kind.Valid(), "unknown kind of stop")
	check(r.Stop == nil || r.Stop.At >= 0 && r.Stop.At <= maxRunTime, "the stop is out of range")
	check(r.Verdict == nil || r.Verdict.valid(), "result and exit code of the verdict do not go together")
	check(r.Stamped() || r.State != Running && r.State != Paused && len(r.History) == 0, "state %s without T0", r.State)
	check(probesFit(r.History.Probes(), r.Probes), "the probes that were judged are not those of the history")
	check(r.Setup.State.valid() && r.Teardown.State.valid(), "unknown state of a task")
	if err := r.History.Validate(); err != nil {
		problems = append(problems, err)
	}
	if err := r.Shards.Validate(); err != nil {
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

func (s TaskState) valid() bool {
	switch s {
	case TaskNone, TaskPending, TaskStarted, TaskDone, TaskFailed:
		return true
	}
	return false
}

// Validate reports changes out of order, of unknown kinds, or without what their kind needs.
func (h History) Validate() error {
	var last time.Duration
	paused := false
	for i, c := range h {
		ok := c.At >= last && c.At <= maxRunTime+CommandLead && c.ID != ""
		switch c.Kind {
		case ChangePause, ChangeResume:
			ok = ok && paused == (c.Kind == ChangeResume)
			paused = !paused
		case ChangeScale:
			ok = ok && c.Factor > 0
		case ChangePhaseStart, ChangePhaseEnd:
			ok = ok && c.Phase != ""
		case ChangeProbe:
			ok = ok && c.Phase != "" && c.Rate >= 0 && (c.For > 0) == (c.Rate > 0)
		default:
			ok = false
		}
		if !ok {
			return fmt.Errorf("history entry %d (%s at %v) cannot stand there", i, c.Kind, c.At)
		}
		last = c.At
	}
	return nil
}
