package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"proofload/internal/load/schedule"
	reports "proofload/internal/result/report"
	"proofload/internal/scenario"
)

func (a *app) planCommand() *cobra.Command {
	var env, output string
	var set []string
	var workers int
	cmd := &cobra.Command{
		Use: "plan FILE", Short: "Show what a scenario will do: timeline, shares, arrivals, caps", Args: cobra.ExactArgs(1),
		Example: "  coordinator plan examples/quickstart.yaml\n  coordinator plan checkout.yaml -e staging -o json",
		RunE: func(_ *cobra.Command, args []string) error {
			fsys, name := os.DirFS(filepath.Dir(args[0])), filepath.Base(args[0])
			plan, err := scenario.Load(fsys, name, scenario.Options{Environment: env, Set: set, Getenv: a.getenv, Rows: schedule.Rows})
			if err != nil {
				return placed(err, name, args[0])
			}
			if output == "table" {
				var b strings.Builder
				if err := plan.Render(&b, scenario.RenderOptions{Workers: workers, Counts: schedule.Counts(plan, mostDrawn)}); err != nil {
					return err
				}
				for line := range strings.Lines(b.String()) {
					fmt.Fprintln(a.stdout, reports.Plain(strings.TrimSuffix(line, "\n")))
				}
				return nil
			}
			return a.print(output, planViewOf(plan, workers), nil)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&env, "environment", "e", "", "environment to lay over the scenario")
	f.StringArrayVar(&set, "set", nil, "override a param: name=value")
	f.IntVar(&workers, "workers", 1, "number of workers for the shares")
	f.StringVarP(&output, "output", "o", "table", "table, json or yaml")
	flagsOnly(f, "environment")
	return cmd
}

// mostDrawn is how many arrivals of a phase are drawn to count them, which takes a few seconds.
const mostDrawn = 100_000_000
