// Command worker joins a coordinator and generates load for its runs.
package main

import (
	"os"

	"proofload/internal/cli"
)

// version is set by the build.
var version = "dev"

func main() {
	cli.Version = version
	os.Exit(cli.Worker(os.Args[1:], os.Stdout, os.Stderr))
}
