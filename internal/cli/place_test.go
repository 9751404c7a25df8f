package cli

import (
	"errors"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"proofload/internal/run"
	"proofload/internal/scenario"
	pb "proofload/proto/proofload/v1"
)

// TestProblemsNameTheFileAsGiven: also those that a coordinator found, with the exit code that they had.
func TestProblemsNameTheFileAsGiven(t *testing.T) {
	remote, err := status.New(codes.PermissionDenied, "refused").WithDetails(&pb.ScenarioProblems{
		Problems: []*pb.ScenarioProblem{{File: "s.yaml", Line: 3, Column: 9, Message: "target host is not allowed"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	other := errors.New("no route to host")
	for _, tt := range []struct {
		name string
		err  error
		code int
		text string
	}{
		{"of this machine", scenario.Problems{{File: "s.yaml", Line: 2, Column: 1, Message: "unknown key"}}, run.ExitUsage, "a/b/s.yaml:2:1: unknown key"},
		{"not allowed", scenario.Problems{{File: "s.yaml", Line: 3, Column: 9, Message: "no", Refused: true}}, run.ExitRefused, "a/b/s.yaml:3:9: no"},
		{"of a coordinator", remote.Err(), run.ExitRefused, "a/b/s.yaml:3:9: target host is not allowed"},
		{"of another file", scenario.Problems{{File: "t.yaml", Message: "cannot be read"}}, run.ExitUsage, "t.yaml: cannot be read"},
	} {
		var e *exitError
		if err := placed(tt.err, "s.yaml", "a/b/s.yaml"); !errors.As(err, &e) || e.code != tt.code || e.Error() != tt.text {
			t.Errorf("%s: %v, want %q with exit code %d", tt.name, err, tt.text, tt.code)
		}
	}
	if got := placed(other, "s.yaml", "a/b/s.yaml"); !errors.Is(got, other) {
		t.Errorf("another error became %v", got)
	}
	if err := placed(nil, "s.yaml", "a/b/s.yaml"); err != nil {
		t.Errorf("no error became %v", err)
	}
}
