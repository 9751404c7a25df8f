// Command coordinator runs scenarios, here or as the daemon of a fleet.
package main

import (
	"os"

	// Authorities to trust where the system has none, as in an image FROM scratch.
	_ "golang.org/x/crypto/x509roots/fallback"

	"proofload/internal/cli"
	"proofload/internal/result/blob/cloud"
)

// version is set by the build.
var version = "dev"

func main() {
	cli.Version = version
	cloud.Register() // here and not in cli, so that the worker does not carry them
	os.Exit(cli.Coordinator(os.Args[1:], os.Stdout, os.Stderr))
}
