package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"proofload/internal/agent/guard"
	"proofload/internal/run"
	"proofload/internal/worker"
)

// guardCommand is the second process of a worker; the worker starts it. The name tells people who look at
// the list of processes whose it is; everything else comes through the pipe.
func (a *app) guardCommand() *cobra.Command {
	return &cobra.Command{
		Use: "guard NAME", Short: "Watch over a worker; the worker starts it", Hidden: true, Args: cobra.ExactArgs(1),
		Example: "  worker --join 127.0.0.1:7470",
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := a.logger()
			if err != nil {
				return err
			}
			err = worker.Watch(cmd.Context(), os.Stdin, log)
			if errors.Is(err, guard.ErrNoWard) {
				return exit(run.ExitUsage, err)
			}
			return err
		},
	}
}

// guard returns how the guard of a worker is started: by the same program.
func (a *app) guard(log hclog.Logger) worker.Program {
	path, err := os.Executable()
	if err != nil {
		log.Warn("this worker has no guard: its death would be noticed when its lease is over", "error", err)
		return worker.Program{}
	}
	return worker.Program{Path: path, Args: []string{os.Args[0], "guard", "--log-level", a.logLevel, "--log-format", a.logFormat}}
}

// first runs a worker as the child of this process, which is the first one of a container.
func first(args []string, stderr io.Writer) int {
	code := run.ExitInternal
	path, err := os.Executable()
	if err == nil {
		code, err = guard.First(path, append([]string{os.Args[0]}, args...))
	}
	if err != nil {
		fmt.Fprintln(stderr, "worker:", err)
	}
	return code
}
