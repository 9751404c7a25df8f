package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	reports "proofload/internal/result/report"
	"proofload/internal/run"
	"proofload/internal/scenario"
	pb "proofload/proto/proofload/v1"
)

// exitError ends a command with an exit code. Without an error nothing more is printed.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func exit(code int, err error) error { return &exitError{code, err} }

func usage(format string, args ...any) error {
	return exit(run.ExitUsage, fmt.Errorf(format, args...))
}

// finish prints an error as it is meant for people and returns the exit code.
func finish(err error, stderr io.Writer) int {
	if err == nil {
		return run.ExitPass
	}
	code := run.ExitInternal
	var e *exitError
	if errors.As(err, &e) {
		code = e.code
		err = e.err
	} else if mapped := exitCodeOf(err); mapped != 0 {
		code = mapped
	}
	if err != nil {
		for line := range strings.SplitSeq("error: "+message(err), "\n") {
			fmt.Fprintln(stderr, reports.Plain(line))
		}
	}
	return code
}

// message is what a person is told: the text of a gRPC status without its wrapping.
func message(err error) string {
	var problems scenario.Problems
	if errors.As(err, &problems) {
		return problemText(problems)
	}
	if st, ok := status.FromError(err); ok && st.Code() != codes.OK {
		if p := problemsOf(st); len(p) > 0 {
			return problemText(p)
		}
		return strings.TrimPrefix(st.Message(), "error: ")
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ") // several errors are still one line
}

// problemText counts the problems of a scenario and lists them.
func problemText(p scenario.Problems) string {
	count := "1 problem"
	if len(p) != 1 {
		count = fmt.Sprintf("%d problems", len(p))
	}
	return fmt.Sprintf("the scenario has %s; nothing was started\n%s", count, p.Error())
}

// problemsOf returns the scenario problems that a status carries.
func problemsOf(st *status.Status) scenario.Problems {
	var out scenario.Problems
	for _, d := range st.Details() {
		if m, ok := d.(*pb.ScenarioProblems); ok {
			for _, p := range m.GetProblems() {
				out = append(out, scenario.Problem{File: p.GetFile(), Line: int(p.GetLine()), Column: int(p.GetColumn()), Message: p.GetMessage()})
			}
		}
	}
	return out
}

// exitCodeOf maps an error of the API to an exit code; 0 when it is none of it.
func exitCodeOf(err error) int {
	var problems scenario.Problems
	if errors.As(err, &problems) {
		if problems.Refused() {
			return run.ExitRefused
		}
		return run.ExitUsage
	}
	if errors.Is(err, context.Canceled) {
		return run.ExitInterrupted
	}
	st, ok := status.FromError(err)
	if !ok {
		return 0
	}
	switch st.Code() {
	case codes.Unavailable, codes.DeadlineExceeded:
		return run.ExitUnreachable
	case codes.Canceled:
		return run.ExitInterrupted
	case codes.InvalidArgument, codes.NotFound:
		return run.ExitUsage
	case codes.PermissionDenied, codes.Unauthenticated:
		return run.ExitRefused
	case codes.FailedPrecondition: // also a command that the state of the run does not allow
		if hasLeaderInfo(err) {
			return run.ExitUnreachable
		}
		if halted(st) {
			return run.ExitNotStarted
		}
		return run.ExitUsage
	}
	return run.ExitInternal
}

// halted reports whether a status refuses something because the cluster is halted.
func halted(st *status.Status) bool {
	return slices.ContainsFunc(st.Details(), func(d any) bool { _, ok := d.(*pb.HaltInfo); return ok })
}
