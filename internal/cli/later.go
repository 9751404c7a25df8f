package cli

import (
	"github.com/spf13/cobra"
)

// laterFlags are the flags of commands that are designed and not built yet; they are refused by name.
var laterFlags = map[string][]string{"run": {"dashboard", "baseline"}, "worker": {"allow-faults"}}

// addLater lets a command refuse what is not built yet, without showing it in its help.
func addLater(cmd *cobra.Command) {
	for _, name := range laterFlags[cmd.Name()] {
		cmd.Flags().String(name, "", "not supported yet")
		_ = cmd.Flags().MarkHidden(name) // it is there
		flagsOnly(cmd.Flags(), name)
	}
}

// refuseLater refuses flags that are not built yet.
func refuseLater(cmd *cobra.Command) error {
	for _, name := range laterFlags[cmd.Name()] {
		if cmd.Flags().Changed(name) {
			return usage("--%s is not supported yet", name)
		}
	}
	return nil
}

// later is a command that is designed and not built yet.
func later(name string) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: "Not supported yet", Hidden: true, DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usage("`%s` is not supported yet", cmd.CommandPath())
		},
	}
}
