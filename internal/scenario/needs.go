package scenario

import (
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Needed is what has to come along with a scenario that is read elsewhere.
type Needed struct {
	Files []string          // paths in the file system from which it was read, sorted
	Env   map[string]string // environment variables that it reads and that are set
}

// Needs reads a scenario as Load does and tells what that took. What is wrong with the scenario is
// not told here but where it is loaded.
func Needs(fsys fs.FS, name string, opts Options) (Needed, error) {
	if _, err := open(fsys, name); err != nil {
		return Needed{}, err
	}
	recorder := &recorder{FS: fsys, opened: map[string]bool{}}
	needed := Needed{Env: map[string]string{}}
	if getenv := opts.Getenv; getenv != nil {
		opts.Getenv = func(key string) (string, bool) {
			value, ok := getenv(key)
			if ok {
				needed.Env[key] = value
			}
			return value, ok
		}
	}
	_, _ = Load(recorder, name, opts) // for what it opens and asks for
	delete(recorder.opened, name)
	needed.Files = slices.Sorted(maps.Keys(recorder.opened))
	return needed, nil
}

// recorder remembers which files were there when they were opened.
type recorder struct {
	fs.FS
	opened map[string]bool
}

// Open implements fs.FS.
func (r *recorder) Open(name string) (fs.File, error) {
	f, err := r.FS.Open(name)
	if err == nil {
		r.opened[name] = true
	}
	return f, err
}

var (
	envReference = regexp.MustCompile(`\benv\.([A-Za-z_][A-Za-z0-9_]*)`)
	inTemplate   = regexp.MustCompile(`\$\{[^}]*`)
	// expressions are the keys below which a text is an expression.
	expressions = []string{"expect", "save", "measure", "until"}
)

// variables notes the environment variables that templates and expressions of a scenario name.
func variables(n *node, isExpression bool, env map[string]bool) {
	if n == nil {
		return
	}
	if n.kind == scalarNode {
		text := n.text
		if !isExpression {
			text = strings.Join(inTemplate.FindAllString(text, -1), " ")
		}
		for _, m := range envReference.FindAllStringSubmatch(text, -1) {
			env[m[1]] = true
		}
	}
	for _, f := range n.fields {
		variables(f.node, isExpression || slices.Contains(expressions, f.name), env)
	}
	for _, item := range n.items {
		variables(item, isExpression, env)
	}
}
