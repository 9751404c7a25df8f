package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"proofload/internal/run"
)

// Version is the program's version; the build sets it.
var Version = "dev"

// app is what every command shares.
type app struct {
	stdout, stderr io.Writer
	logLevel       string
	logFormat      string
	getenv         func(string) (string, bool)
}

// Coordinator runs the coordinator command and returns its exit code.
func Coordinator(args []string, stdout, stderr io.Writer) int {
	a := &app{stdout: stdout, stderr: stderr, getenv: os.LookupEnv}
	root := &cobra.Command{
		Use:   "coordinator",
		Short: "Stress-test a system: load, verdict and report from one scenario file",
		Long: "coordinator runs scenarios: on this machine with `run`, or as the daemon of a fleet of\n" +
			"workers with `serve`. A run ends with PASS, FAIL or INVALID, and the exit code says which.",
		Example: "  coordinator run examples/quickstart.yaml\n  coordinator serve --data-dir /var/lib/proofload",
	}
	a.common(root)
	root.AddCommand(a.runCommand(), a.serveCommand(), a.validateCommand(), a.planCommand(), a.versionCommand("coordinator"))
	root.AddCommand(a.clientCommands()...)
	root.AddCommand(a.haltCommand(), a.unhaltCommand())
	return a.execute(root, args)
}

// Worker runs the worker command and returns its exit code.
func Worker(args []string, stdout, stderr io.Writer) int {
	if os.Getpid() == 1 { // of a container, whose end would end the guard
		return first(args, stderr)
	}
	a := &app{stdout: stdout, stderr: stderr, getenv: os.LookupEnv}
	return a.execute(a.workerCommand(), args)
}

func (a *app) common(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.StringVar(&a.logLevel, "log-level", "warn", "trace, debug, info, warn or error")
	flags.StringVar(&a.logFormat, "log-format", "text", "text or json")
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.HiddenDefaultCmd = false
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.PersistentPreRunE = func(cmd *cobra.Command, args []string) error {
		if err := a.fromEnvironment(cmd.Flags()); err != nil {
			return err
		}
		if err := fromFile(cmd.Flags()); err != nil {
			return err
		}
		if err := refuseLater(cmd); err != nil {
			return err
		}
		if err := checkTexts(cmd, args); err != nil {
			return err
		}
		_, err := a.logger() // a level or format that there is not is bad usage of every command
		return err
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%w; see `%s --help`", flagError(err), cmd.CommandPath())
	})
}

func (a *app) execute(root *cobra.Command, args []string) int {
	ctx, stop := a.signals()
	defer stop()
	root.SetArgs(args)
	root.InitDefaultCompletionCmd(args...)
	exampleOfCompletion(root)
	cmd, err := root.ExecuteContextC(ctx)
	var e *exitError
	if err != nil && !errors.As(err, &e) && unusable(err) {
		err = misused(cmd, err)
	}
	return finish(err, a.stderr)
}

// exampleOfCompletion adds what cobra's own commands lack.
func exampleOfCompletion(root *cobra.Command) {
	for _, c := range root.Commands() {
		if c.Name() != "completion" {
			continue
		}
		c.Example = "  " + root.Name() + " completion bash > /etc/bash_completion.d/" + root.Name()
		for _, shell := range c.Commands() {
			shell.Example = "  " + root.Name() + " completion " + shell.Name()
		}
	}
}

// misused turns an error of the command line's parser into one line that shows what would be right.
func misused(cmd *cobra.Command, err error) error {
	first, suggestions, _ := strings.Cut(err.Error(), "\n\nDid you mean this?\n")
	if words := strings.Fields(suggestions); len(words) > 0 {
		return usage("%s; did you mean %s?", first, strings.Join(words, " or "))
	}
	if strings.HasPrefix(first, "accepts ") {
		return usage("%s: write `%s`; see `%s --help`", strings.Replace(first, "arg(s)", "arguments", 1), strings.TrimSuffix(cmd.UseLine(), " [flags]"), cmd.CommandPath())
	}
	return usage("%s; see `%s --help`", first, cmd.CommandPath())
}

// unusable reports whether an error is cobra's own: of commands and arguments.
func unusable(err error) bool {
	for _, begin := range []string{"unknown command", "accepts ", "requires at least", "required flag", "unknown flag", "unknown shorthand", "invalid argument"} {
		if strings.HasPrefix(err.Error(), begin) {
			return true
		}
	}
	return false
}

// signals returns a context that ends with the first SIGINT or SIGTERM. The second ends the process
// at once.
func (a *app) signals() (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ch := make(chan os.Signal, 2)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-ch:
			cancel()
		case <-done:
			return
		}
		select {
		case <-ch:
			os.Exit(run.ExitInterrupted)
		case <-done:
		}
	})
	return ctx, func() {
		signal.Stop(ch)
		close(done)
		wg.Wait()
		cancel()
	}
}

// fromEnvironment fills flags that were not given from PROOFLOAD_* variables. What runs and where is
// decided by flags alone, so that no forgotten variable can send load somewhere.
func (a *app) fromEnvironment(flags *pflag.FlagSet) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := "PROOFLOAD_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if f.Changed || f.Annotations["no-env"] != nil {
			return
		}
		if v, ok := a.getenv(name); ok {
			if err := flags.Set(f.Name, v); err != nil {
				errs = append(errs, fmt.Errorf("%s %w", name, wrongValue(f, v)))
			} else if slices.Contains(travelling, f.Name) {
				errs = append(errs, utf8Text(name, v))
			}
		}
	})
	if err := errors.Join(errs...); err != nil {
		return usage("%w", err)
	}
	return nil
}

// flagError is the parser's error as it is meant for people.
func flagError(err error) error {
	if wrong := (*pflag.InvalidValueError)(nil); errors.As(err, &wrong) {
		return fmt.Errorf("--%s %w", wrong.GetFlag().Name, wrongValue(wrong.GetFlag(), wrong.GetValue()))
	}
	if argument, ok := negative(err); ok {
		return fmt.Errorf("%q begins with a minus, and so is taken for flags: what stands behind -- is not", argument)
	}
	return err
}

// wrongValue says what a flag takes.
func wrongValue(f *pflag.Flag, value string) error {
	takes := map[string]string{
		"bool": "true or false", "int": "a whole number", "uint64": "a whole number, 0 or more", "float64": "a number",
		"duration": "a duration such as 90s or 5m", "stringToString": "pairs of the form name=value",
	}[f.Value.Type()]
	if takes == "" {
		takes = "a value of the kind that --help shows"
	}
	return fmt.Errorf("%q: it takes %s", value, takes)
}

// flagsOnly marks flags that the environment does not set.
func flagsOnly(flags *pflag.FlagSet, names ...string) {
	for _, n := range names {
		_ = flags.SetAnnotation(n, "no-env", []string{"true"})
	}
}

// daemon makes a command that runs unattended say when it leads, who joins and what changes state,
// unless a level was asked for.
func (a *app) daemon(flags *pflag.FlagSet) {
	if !flags.Changed("log-level") {
		a.logLevel = "info"
	}
}

// logger returns the logger of the flags.
func (a *app) logger() (hclog.Logger, error) {
	level := hclog.LevelFromString(a.logLevel)
	if level == hclog.NoLevel {
		return nil, usage("--log-level %q: it is trace, debug, info, warn or error", a.logLevel)
	}
	if a.logFormat != "text" && a.logFormat != "json" {
		return nil, usage("--log-format %q: it is text or json", a.logFormat)
	}
	return hclog.New(&hclog.LoggerOptions{
		Name: "proofload", Level: level, Output: a.stderr, JSONFormat: a.logFormat == "json",
		Color: a.logColour(),
	}), nil
}
