// Command coordinator runs scenarios, here or as the daemon of a fleet.
package main

import (
	"os"

	"proofload/internal/cli"
)

// version is set by the build.
var version = "dev"

func main() {
	cli.Version = version
	os.Exit(cli.Coordinator(os.Args[1:], os.Stdout, os.Stderr))
}
