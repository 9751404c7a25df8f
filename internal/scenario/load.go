package scenario

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"proofload/internal/scenario/expression"
)

// Options decide how a scenario is read.
type Options struct {
	Environment string   // to lay over the file; empty: none
	Set         []string // overrides of params, name=value
	Seed        *uint64  // instead of the file's
	// Getenv returns the value of ${env.NAME}; nil: there are none.
	Getenv func(name string) (string, bool)
	// Rows returns how many rows of data the poisson arrivals of a phase need, which depends on what the
	// seed draws; nil refuses them where the number of rows matters.
	Rows func(seed uint64, p *Phase) int64
	// AnyTarget skips the check against allow_targets; only for looking at a plan that is not run.
	AnyTarget bool
}

// Load reads a scenario with its data files from fsys and makes it definite. The error is Problems,
// with everything that is wrong, unless the file cannot be read at all.
func Load(fsys fs.FS, name string, opts Options) (*Plan, error) {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, Problems{{File: name, Message: "cannot be read: " + reason(err)}}
	}
	l := &loader{parser: parser{file: name}, fsys: fsys, opts: opts, data: data}
	plan := l.load()
	if len(l.problems) > 0 {
		return nil, l.problems.sorted()
	}
	return plan, nil
}

// Validate checks a scenario with each of its environments, or with the one chosen. A file that has
// environments may leave to them what it lacks; what it does say must be right even if all of them
// replace it. It returns nil or Problems.
func Validate(fsys fs.FS, name string, opts Options) error {
	names := []string{opts.Environment}
	var all Problems
	if opts.Environment == "" {
		root, err := open(fsys, name)
		if err != nil {
			return err
		}
		if more := environmentsOf(root); len(more) > 0 {
			names, all = more, bare(root, name)
		}
	}
	found := map[Problem][]string{} // the environments that have a problem
	for _, env := range names {
		opts.Environment = env
		var problems Problems
		if _, err := Load(fsys, name, opts); errors.As(err, &problems) {
			for _, p := range problems {
				found[p] = append(found[p], env)
			}
		} else if err != nil {
			return err
		}
	}
	for p, envs := range found {
		if len(envs) < len(names) && !slices.Contains(all, p) {
			p.Message += " (environment " + strings.Join(envs, ", ") + ")"
		}
		all = append(all, p)
	}
	if len(all) > 0 {
		return all.sorted()
	}
	return nil
}

// bare returns what is wrong with a file itself, before an environment is laid over it.
func bare(root *node, name string) Problems {
	d := &decoder{
		parser: &parser{file: name}, known: &expression.Values{}, scope: expression.Everywhere(), bare: true, partial: true,
	}
	d.decode(root, &File{})
	if root.get("version") == nil {
		d.fail(root.pos, "version is missing") // no environment can bring it
	}
	return d.problems
}

// Environments lists the environments of a scenario by name.
func Environments(fsys fs.FS, name string) ([]string, error) {
	root, err := open(fsys, name)
	if err != nil {
		return nil, err
	}
	return environmentsOf(root), nil
}

func environmentsOf(root *node) []string {
	var names []string
	if envs := root.get("environments"); envs != nil {
		for _, f := range envs.fields {
			names = append(names, f.name)
		}
	}
	return names
}

func open(fsys fs.FS, name string) (*node, error) {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, Problems{{File: name, Message: "cannot be read: " + reason(err)}}
	}
	p := &parser{file: name}
	root := p.parse(data)
	if root == nil || len(p.problems) > 0 {
		return nil, p.problems.sorted()
	}
	return root, nil
}

func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// loader is one reading of one scenario.
type loader struct {
	parser
	fsys fs.FS
	opts Options
	data []byte
	dec  *decoder
	file File
	plan *Plan

	header      map[string]expression.Names // columns by data set
	secrets     map[string]bool             // names in use
	measures    map[string]string           // units by measure
	sources     []string                    // names of the sources, which are not supported yet
	personal    map[string]bool             // flows that read user, which only users have
	descriptors map[string]*described       // by what was read
	later       []func()                    // checks that need the columns of the data
	flowName    string                      // of the flow whose steps are being built
}

func (l *loader) load() *Plan {
	root := l.parse(l.data)
	if root == nil {
		return nil
	}
	if root.kind != mapNode {
		l.fail(root.pos, "%s where a scenario was expected: it begins with `version: 1`", root.describe())
		return nil
	}
	root = l.overlay(root)
	if sources := root.get("sources"); sources != nil {
		for _, f := range sources.fields {
			l.sources = append(l.sources, f.name)
		}
	}
	known := &expression.Values{Params: map[string]any{}, Env: l.environ(root)}
	l.dec = &decoder{parser: &l.parser, known: known, scope: expression.Everywhere()}
	known.Params = l.params(root.get("params"))
	l.dec.scope.Params = expression.NamesOf(known.Params)
	l.dec.decode(root, &l.file)
	l.plan = &Plan{
		Format: PlanFormat, Name: l.file.Name.Value, Description: l.file.Description.Value, Environment: l.opts.Environment,
		ScenarioSHA256: Digest(l.data), Seed: l.seed(), Labels: texts(l.file.Labels), Params: known.Params, Env: known.Env,
		Targets: map[string]Target{}, Flows: map[string]Flow{},
	}
	l.secrets, l.personal = map[string]bool{}, map[string]bool{}
	l.build()
	return l.plan
}

// notInEnvironment is the keys of the file that no environment can change.
var notInEnvironment = []string{"version", "environments"}

// overlay lays the chosen environment over the file.
func (l *loader) overlay(root *node) *node {
	envs := root.get("environments")
	if l.opts.Environment == "" {
		return root
	}
	env := envs.get(l.opts.Environment)
	if env == nil {
		var names []string
		if envs != nil {
			for _, f := range envs.fields {
				names = append(names, f.name)
			}
		}
		message := "there is no environment " + strconv.Quote(l.opts.Environment)
		if best := expression.Nearest(l.opts.Environment, names); best != "" {
			message += "; did you mean " + strconv.Quote(best) + "?"
		} else if len(names) > 0 {
			message += "; there are " + strings.Join(names, ", ")
		}
		l.fail(pos{}, "%s", message)
		return root
	}
	if env.kind != mapNode {
		l.fail(env.pos, "%s where an environment was expected: a map that is laid over the file", env.describe())
		return root
	}
	for _, f := range env.fields {
		if slices.Contains(notInEnvironment, f.name) {
			l.fail(f.pos, "%s cannot stand in an environment", f.name)
		}
	}
	// target and targets replace each other.
	base := root
	for _, pair := range [][2]string{{"target", "targets"}, {"targets", "target"}} {
		if env.get(pair[0]) != nil {
			base = without(base, pair[1])
		}
	}
	return merge(base, env)
}

func without(n *node, name string) *node {
	out := *n
	out.fields = slices.DeleteFunc(slices.Clone(n.fields), func(f field) bool { return f.name == name })
	return &out
}

// environ returns the values of the environment variables that the scenario reads.
func (l *loader) environ(root *node) map[string]string {
	vars := map[string]bool{}
	variables(without(root, "environments"), false, vars)
	out := map[string]string{}
	for name := range vars {
		if l.opts.Getenv == nil {
			continue
		}
		if v, ok := l.opts.Getenv(name); ok {
			out[name] = v
		}
	}
	return out
}

var identifier = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// params returns the values of the params, typed by their spelling, with the overrides of --set.
func (l *loader) params(n *node) map[string]any {
	out := map[string]any{}
	if n == nil {
		n = &node{}
	}
	for _, f := range n.fields {
		if f.node.kind != scalarNode {
			continue // refused by the decoder
		}
		if v, ok := l.dec.fixed(f.node, "a param"); ok {
			out[f.name] = v
		}
	}
	for _, set := range l.opts.Set {
		name, value, ok := strings.Cut(set, "=")
		if !ok {
			l.fail(pos{}, "--set %q: write name=value", set)
			continue
		}
		if _, exists := out[name]; !exists {
			l.fail(pos{}, "--set %s: the scenario has no such param%s", name, didYouMean(name, slices.Sorted(maps.Keys(out))))
			continue
		}
		out[name] = spelled(value)
	}
	return out
}

func didYouMean(word string, names []string) string {
	if best := expression.Nearest(word, names); best != "" {
		return "; did you mean " + strconv.Quote(best) + "?"
	}
	if len(names) == 0 {
		return ""
	}
	return "; there are " + quoteAll(names)
}

// number is how a number is spelled; NaN, hexadecimal digits and underscores are texts.
var number = regexp.MustCompile(`^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$`)

// spelled types a value by its spelling, as YAML would; rates, durations and shares stay texts that
// are read where they are used.
func spelled(s string) any {
	if number.MatchString(s) {
		if i, err := strconv.ParseInt(s, 10, 64); err == nil {
			return i
		}
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			return f
		}
	}
	switch s {
	case "true":
		return true
	case "false":
		return false
	}
	return s
}

// TypedParams returns params as expressions read them, typed by their spelling: a duration is a duration,
// a share a number with 1 for all of it, a rate a number per second, and everything else what it is. In
// templates params are put in before the run, as they are spelled.
func TypedParams(params map[string]any) map[string]any {
	out := make(map[string]any, len(params))
	for name, v := range params {
		out[name] = v
		text, ok := v.(string)
		if !ok {
			continue
		}
		if d, err := parseDuration(text); err == nil {
			out[name] = d
		} else if share, err := parseShare(text); err == nil {
			out[name] = share
		} else if rate, err := readRate(text); err == nil {
			out[name] = rate
		}
	}
	return out
}

// seed returns the seed of the options, of the file, or one made of the file's digest, so that a run
// can be repeated in any case.
func (l *loader) seed() uint64 {
	switch {
	case l.opts.Seed != nil:
		return *l.opts.Seed
	case l.file.Seed != nil:
		return uint64(l.file.Seed.Value)
	}
	sum := sha256.Sum256(l.data)
	return binary.LittleEndian.Uint64(sum[:]) >> 1
}

func texts(m map[string]Text) map[string]string {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[k] = v.Value
	}
	return out
}

// Digest returns the SHA-256 of data in hex.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// relative cleans the name of a data file; it is relative to the scenario and stays below it.
func relative(scenario, name string) (string, bool) {
	if path.IsAbs(name) || strings.Contains(name, `\`) {
		return "", false
	}
	full := path.Join(path.Dir(scenario), name)
	return full, fs.ValidPath(full)
}
