// Command schemagen writes the JSON Schema of the scenario language to the file that it is given.
package main

import (
	"fmt"
	"os"

	"proofload/internal/scenario"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "usage: schemagen FILE")
		return 2
	}
	schema, err := scenario.JSONSchema()
	if err == nil {
		err = os.WriteFile(args[0], schema, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "write the schema:", err)
		return 1
	}
	return 0
}
