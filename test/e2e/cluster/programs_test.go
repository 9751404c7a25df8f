package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// programs is the directory of the programs under test, built when the tests start.
var programs string

// TestMain builds the programs. They are built without the race detector: they are to run as they
// do elsewhere.
func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "proofload-cluster")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	programs = dir
	for from, packages := range map[string][]string{
		filepath.Join("..", "..", ".."): {"./cmd/coordinator", "./cmd/worker"},
		".":                             {"./etcdmember"},
	} {
		build := exec.Command("go", append([]string{"build", "-o", dir + string(filepath.Separator)}, packages...)...)
		build.Dir, build.Stdout, build.Stderr = from, os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintf(os.Stderr, "go build %v: %v\n", packages, err)
			return 1
		}
	}
	return m.Run()
}
