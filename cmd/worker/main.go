// Command worker joins a coordinator and generates load for its runs.
package main

import (
	"os"

	// Authorities to trust where the system has none, as in an image FROM scratch.
	_ "golang.org/x/crypto/x509roots/fallback"

	"proofload/internal/cli"
)

// version is set by the build.
var version = "dev"

func main() {
	cli.Version = version
	os.Exit(cli.Worker(os.Args[1:], os.Stdout, os.Stderr))
}
