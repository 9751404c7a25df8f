package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"text/tabwriter"

	"go.yaml.in/yaml/v4"

	reports "proofload/internal/result/report"
)

// row writes the cells of one row of a table. What comes from a scenario or a machine cannot steer the
// terminal.
func row(t *tabwriter.Writer, cells ...any) {
	for i, c := range cells {
		if i > 0 {
			fmt.Fprint(t, "\t")
		}
		fmt.Fprint(t, reports.Plain(fmt.Sprint(c)))
	}
	fmt.Fprintln(t)
}

// print writes a value as -o says: table by the function, json or yaml.
func (a *app) print(output string, v any, table func(*tabwriter.Writer)) error {
	switch output {
	case "table", "":
		t := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
		if table != nil {
			table(t)
		}
		return t.Flush()
	case "json":
		e := json.NewEncoder(a.stdout)
		e.SetEscapeHTML(false) // it is for terminals and programs: a check reads p99(response_time) < 250ms
		e.SetIndent("", "  ")
		return e.Encode(v)
	case "yaml":
		// Through JSON, so that both have the same names; it is YAML too, and read as such its whole
		// numbers stay exact.
		data, err := json.Marshal(v)
		if err != nil {
			return err
		}
		var plain any
		if err := yaml.Unmarshal(data, &plain); err != nil {
			return err
		}
		out, err := yaml.Marshal(plain)
		if err != nil {
			return err
		}
		_, err = a.stdout.Write(out)
		return err
	}
	return validOutput(output)
}

// validOutput refuses a form of output that there is not.
func validOutput(output string) error {
	if slices.Contains([]string{"", "table", "json", "yaml"}, output) {
		return nil
	}
	return usage("--output %q: it is table, json or yaml", output)
}
