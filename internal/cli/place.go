package cli

import (
	"errors"
	"slices"

	"google.golang.org/grpc/status"

	"proofload/internal/scenario"
)

// placed names a scenario file in its problems as the user has named it, so that an editor finds it and two
// files of one name are told apart. The language, and a coordinator far away, know only its base name.
func placed(err error, base, given string) error {
	var problems scenario.Problems
	code := exitCodeOf(err)
	if !errors.As(err, &problems) {
		st, ok := status.FromError(err)
		if err == nil || !ok {
			return err
		}
		if problems = problemsOf(st); len(problems) == 0 {
			return err
		}
	}
	problems = slices.Clone(problems)
	for i := range problems {
		if problems[i].File == base {
			problems[i].File = given
		}
	}
	return exit(code, problems)
}
