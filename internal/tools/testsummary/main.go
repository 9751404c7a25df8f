// Command testsummary reads the output of `go test -json` (of one or more modules) and writes what
// a person wants to see of it: one line for each package, everything that failed tests printed, and
// at the end each skipped test with its reason. It exits 1 when anything failed.
package main

import (
	"fmt"
	"os"
)

func main() {
	s := newSummary(os.Stdout)
	if err := s.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testsummary:", err)
		os.Exit(1)
	}
	if !s.finish() {
		os.Exit(1)
	}
}
