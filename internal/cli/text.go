package cli

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// travelling are the flags whose values are sent as texts of the API, which are UTF-8; paths need not be.
var travelling = []string{"set", "reason", "environment", "confirm", "label", "name", "advertise", "coordinator", "join"}

// checkTexts refuses what a message could not carry, with its name.
func checkTexts(cmd *cobra.Command, args []string) error {
	var errs []error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if slices.Contains(travelling, f.Name) {
			errs = append(errs, utf8Text("--"+f.Name, f.Value.String()))
		}
	})
	if cmd.HasParent() && cmd.Parent().Name() == "runs" {
		for _, a := range args {
			errs = append(errs, utf8Text("argument", a))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return usage("%w", err)
	}
	return nil
}

func utf8Text(name, value string) error {
	if utf8.ValidString(value) {
		return nil
	}
	return fmt.Errorf("%s %q is not UTF-8 text", name, value)
}
