package scenario

import (
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"proofload/internal/scenario/expression"
)

// ProgramF is an execution of a program.
type ProgramF struct {
	Argv      []TemplateText          `yaml:"argv,required" is:"filled"`
	Env       map[string]TemplateText `yaml:"env"`
	Stdin     *TemplateText           `yaml:"stdin"`
	Samples   *Text                   `yaml:"samples" is:"none|json"`
	KillAfter *Span                   `yaml:"kill_after" is:">0"`
	At        pos                     `yaml:"-"`
}

// Program is one execution of a program on the worker.
type Program struct {
	Argv      []string      `json:"argv"`          // templates; but for the first, which is an absolute path
	Env       []Field       `json:"env,omitempty"` // in the order of the names
	Stdin     *string       `json:"stdin,omitempty"`
	Samples   bool          `json:"samples,omitempty"` // standard output is samples, one a line, as JSON
	KillAfter time.Duration `json:"kill_after"`        // from being asked to end to being killed
}

// defaultKillAfter is how long a program may take to end when it was asked to.
const defaultKillAfter = 2 * time.Second

// programRoots is what can be read of an execution.
var programRoots = []expression.Root{
	expression.Code, expression.Message, expression.Messages, expression.Body, expression.JSON, expression.Size, expression.Duration,
}

func (l *loader) program(step *Step, f StepF, scope expression.Scope) {
	in := f.Program
	out := &Program{Samples: textOr(in.Samples, "none") == "json", KillAfter: defaultKillAfter}
	for i, a := range in.Argv {
		l.checkTemplate(a.Value, a.At, scope)
		if i == 0 && (!path.IsAbs(a.Value) || path.Clean(a.Value) != a.Value || strings.Contains(a.Value, "${")) {
			l.fail(a.At, "program %q must be an absolute path that is fixed before the run, such as /opt/load/client", a.Value)
		}
		out.Argv = append(out.Argv, a.Value)
	}
	for _, name := range slices.Sorted(maps.Keys(in.Env)) {
		v := in.Env[name]
		l.checkTemplate(v.Value, v.At, scope)
		if name == "" || strings.ContainsAny(name, "=\x00") {
			l.fail(v.At, "%q is not the name of an environment variable", name)
		}
		out.Env = append(out.Env, Field{name, v.Value})
	}
	if in.Stdin != nil {
		l.checkTemplate(in.Stdin.Value, in.Stdin.At, scope)
		out.Stdin = &in.Stdin.Value
	}
	if in.KillAfter != nil {
		out.KillAfter = in.KillAfter.Value
	}
	if f.Target != nil {
		l.fail(f.Target.At, "a program goes where it wants: leave target out")
	}
	step.Program = out
}

// Programs returns the paths of the programs that a plan runs, each once.
func (p *Plan) Programs() []string {
	var out []string
	for s := range p.Steps() {
		if s.Program != nil && !slices.Contains(out, s.Program.Argv[0]) {
			out = append(out, s.Program.Argv[0])
		}
	}
	return out
}
