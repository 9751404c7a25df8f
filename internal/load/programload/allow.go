package programload

import (
	"errors"
	"fmt"
	"path/filepath"
)

// Allowed is which programs a worker runs: patterns of absolute paths, as path/filepath.Match reads them. A * does
// not go beyond a folder. The zero value allows none.
type Allowed []string

// Validate reports what is wrong with the patterns.
func (a Allowed) Validate() error {
	var errs []error
	for _, pattern := range a {
		if _, err := filepath.Match(pattern, "/"); err != nil || !filepath.IsAbs(pattern) {
			errs = append(errs, fmt.Errorf("--allow-programs %q: write an absolute path, or a pattern such as /opt/load/*", pattern))
		}
	}
	return errors.Join(errs...)
}

// Check says why a program may not be run; nil: it may.
func (a Allowed) Check(program string) error {
	if filepath.IsAbs(program) && filepath.Clean(program) == program {
		for _, pattern := range a {
			if ok, err := filepath.Match(pattern, program); err == nil && ok {
				return nil
			}
		}
	}
	return fmt.Errorf("program %s is not allowed here: start the worker with --allow-programs %s if it may be run", program, program)
}
