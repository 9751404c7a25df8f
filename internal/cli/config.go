package cli

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"
)

// configFlag adds the flag that names a file with values for the other flags.
func configFlag(f *pflag.FlagSet) {
	f.String("config", "", "YAML file with a value for any of these flags, by its name")
}

// fromFile fills flags from the file of --config, where neither the command line nor the environment
// has. It reports all that is wrong with the file.
func fromFile(flags *pflag.FlagSet) error {
	file := flags.Lookup("config")
	if file == nil || file.Value.String() == "" {
		return nil
	}
	name := file.Value.String()
	data, err := os.ReadFile(name)
	if err != nil {
		return usage("--config: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return usage("--config %s: %w", name, err)
	}
	if len(doc.Content) == 0 {
		return nil // an empty file says nothing
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return usage("%s:%d:%d: a configuration is lines of the form `flag: value`", name, root.Line, root.Column)
	}
	known := configurable(flags)
	seen := map[string]bool{}
	var errs []error
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		f := known[key.Value]
		switch {
		case f == nil:
			err = fmt.Errorf("there is no flag %q; known here: %s", key.Value, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		case seen[key.Value]:
			err = fmt.Errorf("%s stands twice", key.Value)
		case f.Changed:
			err = nil // by the command line or the environment, which go first
		default:
			err = fill(f, value)
		}
		seen[key.Value] = true
		if err != nil {
			errs = append(errs, fmt.Errorf("%s:%d:%d: %w", name, key.Line, key.Column, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return usage("%w", err)
	}
	for n := range seen {
		known[n].Changed = true
	}
	return nil
}

// configurable are the flags that a file may set.
func configurable(flags *pflag.FlagSet) map[string]*pflag.Flag {
	known := map[string]*pflag.Flag{}
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name != "config" && f.Name != "help" && f.Annotations["no-env"] == nil {
			known[f.Name] = f
		}
	})
	return known
}

// fill sets a flag from a scalar, a list of scalars, or a map of scalars.
func fill(f *pflag.Flag, value *yaml.Node) error {
	if value.Kind == yaml.ScalarNode {
		if err := f.Value.Set(value.Value); err != nil {
			return fmt.Errorf("%s %w", f.Name, wrongValue(f, value.Value))
		}
		return nil
	}
	for _, n := range value.Content {
		if n.Kind != yaml.ScalarNode {
			return fmt.Errorf("%s takes no nested values", f.Name)
		}
	}
	if list, ok := f.Value.(pflag.SliceValue); ok && value.Kind == yaml.SequenceNode {
		var items []string
		for _, n := range value.Content {
			items = append(items, n.Value)
		}
		return named(f, list.Replace(items))
	}
	if f.Value.Type() != "stringToString" || value.Kind != yaml.MappingNode {
		return fmt.Errorf("%s takes one value", f.Name)
	}
	for i := 0; i+1 < len(value.Content); i += 2 {
		if err := f.Value.Set(value.Content[i].Value + "=" + value.Content[i+1].Value); err != nil {
			return named(f, err)
		}
	}
	return nil
}

func named(f *pflag.Flag, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	return nil
}
