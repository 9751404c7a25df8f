package scenario

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"proofload/internal/scenario/descriptor"
	"proofload/internal/scenario/expression"
)

// GRPCF is a gRPC call.
type GRPCF struct {
	Method     Text                    `yaml:"method,required" is:"rpc"`
	Proto      *Text                   `yaml:"proto" most:"descriptor" is:"text"`
	Descriptor *Text                   `yaml:"descriptor" most:"descriptor" is:"text"`
	Reflection *Flag                   `yaml:"reflection" most:"descriptor"`
	Send       Tree                    `yaml:"send"`
	Metadata   map[string]TemplateText `yaml:"metadata" keys:"metadata"`
	Receive    *ReceiveF               `yaml:"receive"`
	Close      *CloseF                 `yaml:"close"`
	At         pos                     `yaml:"-"`
}

// ReceiveF says when enough was received of a stream.
type ReceiveF struct {
	Until *Source `yaml:"until" one:"enough"`
	Count *Count  `yaml:"count" one:"enough" is:"1.."`
}

// CloseF ends a stream.
type CloseF struct {
	After Span `yaml:"after,required" is:">0"`
}

// What can be read of a gRPC call, and of its stream while it lasts.
var (
	grpcRoots   = []expression.Root{expression.Code, expression.Message, expression.Messages, expression.Headers, expression.Size, expression.Duration}
	streamRoots = []expression.Root{expression.Message, expression.Messages}
)

// described is what one file says about services.
type described struct {
	set   *descriptor.Set // nil: it could not be read, which was said already
	files []FileRef
}

func (l *loader) grpc(step *Step, f StepF, scope expression.Scope) {
	in := f.GRPC
	step.Target = l.stepTarget(f, protocolGRPC)
	g := GRPC{Method: in.Method.Value, Send: messages(in.Send)}
	for i, m := range g.Send {
		l.checkTree(m, in.Send.At, scope)
		if m == nil {
			l.fail(in.Send.At, "message %d is null: {} is one without fields", i+1)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(in.Metadata)) {
		v := in.Metadata[name]
		if strings.HasPrefix(name, "grpc-") {
			l.fail(v.At, "metadata %s: names that begin with grpc- are those of the protocol", name)
		}
		l.checkTemplate(v.Value, v.At, scope)
		g.Metadata = append(g.Metadata, Field{name, v.Value})
	}
	if r := in.Receive; r != nil && r.Count != nil {
		g.Count = r.Count.Value
	} else if r != nil && r.Until != nil {
		scope.Response, scope.Roots = true, streamRoots
		l.checkExpr(*r.Until, scope)
		g.Until = r.Until.Value
	}
	if in.Close != nil {
		g.CloseAfter = in.Close.After.Value
	}
	if in.Reflection != nil && !in.Reflection.Value {
		l.fail(in.Reflection.At, "reflection: false leaves nothing that describes the method: give proto or descriptor instead")
	}
	l.describe(&g, in)
	step.GRPC = &g
}

// messages returns what send holds: a message, or a list of them.
func messages(t Tree) []any {
	if !t.Set {
		return nil
	}
	if all, ok := t.Value.([]any); ok {
		return all
	}
	return []any{t.Value}
}

// describe reads the file that describes the method, and checks what is sent against it.
func (l *loader) describe(g *GRPC, in *GRPCF) {
	var d *described
	switch {
	case in.Proto != nil:
		g.Proto = path.Clean(in.Proto.Value)
		d = l.described("proto "+g.Proto, in.Proto.At, func() (*described, error) { return l.protoFile(g.Proto) })
	case in.Descriptor != nil:
		g.Descriptor = in.Descriptor.Value
		d = l.described("descriptor "+g.Descriptor, in.Descriptor.At, func() (*described, error) { return l.descriptorSet(g.Descriptor) })
	}
	if d == nil || d.set == nil {
		return
	}
	g.Files = d.files
	m, err := d.set.Method(g.Method)
	if err != nil {
		l.fail(in.Method.At, "%s", err)
		return
	}
	if err := FitsMethod(g, m); err != nil {
		l.fail(in.At, "%s", err)
		return
	}
	for i, message := range g.Send {
		if err := d.set.Check(m.Input(), message, isTemplate); err != nil {
			l.fail(in.Send.At, "message %d: %s", i+1, err)
		}
	}
}

// FitsMethod tells whether a call can be made of a method of its kind.
func FitsMethod(g *GRPC, m protoreflect.MethodDescriptor) error {
	switch {
	case !m.IsStreamingClient() && len(g.Send) != 1 && g.Send != nil:
		return fmt.Errorf("%s takes one message, send has %d", g.Method, len(g.Send))
	case !m.IsStreamingServer() && (g.Until != "" || g.Count > 0 || g.CloseAfter > 0):
		return fmt.Errorf("%s answers with one message: receive and close are of streams", g.Method)
	}
	return nil
}

// isTemplate tells whether a text has a value that only the run knows.
func isTemplate(text string) bool {
	t, err := expression.CompileTemplate(text, expression.Everywhere())
	if err != nil {
		return true // which was said already
	}
	_, constant := t.Const()
	return !constant
}

// described reads a file once, however many steps name it.
func (l *loader) described(key string, at pos, read func() (*described, error)) *described {
	if d, ok := l.descriptors[key]; ok {
		return d
	}
	if l.descriptors == nil {
		l.descriptors = map[string]*described{}
	}
	d, err := read()
	if err != nil {
		l.fail(at, "%s", err)
		d = &described{}
	}
	l.descriptors[key] = d
	return d
}

// protoFile compiles a .proto file. Imports are looked for beside it, and then in each folder above it up to
// the scenario's.
func (l *loader) protoFile(name string) (*described, error) {
	if _, ok := relative(l.parser.file, name); !ok {
		return nil, fmt.Errorf("file %q must lie beside the scenario or below it", name)
	}
	d := &described{}
	open := func(imported string) (io.ReadCloser, error) {
		var first error
		for _, folder := range foldersFor(name, imported) {
			full, ok := relative(l.parser.file, path.Join(folder, imported))
			if !ok {
				continue
			}
			data, err := fs.ReadFile(l.fsys, full)
			if err == nil {
				d.files = append(d.files, FileRef{imported, Digest(data)})
				return io.NopCloser(bytes.NewReader(data)), nil
			}
			if first == nil {
				first = fmt.Errorf("file %s cannot be read: %s", full, reason(err))
			}
		}
		if first == nil {
			first = fmt.Errorf("file %q must lie beside the scenario or below it", imported)
		}
		return nil, first
	}
	var err error
	if d.set, err = descriptor.Compile(name, open); err != nil {
		return nil, err
	}
	slices.SortFunc(d.files, func(a, b FileRef) int { return strings.Compare(a.Name, b.Name) })
	return d, nil
}

// foldersFor lists where a file may lie that is imported by the file of that name, or by what it imports.
func foldersFor(name, imported string) []string {
	if imported == name {
		return []string{"."}
	}
	folders := []string{path.Dir(name)}
	for folders[len(folders)-1] != "." {
		folders = append(folders, path.Dir(folders[len(folders)-1]))
	}
	return folders
}

func (l *loader) descriptorSet(name string) (*described, error) {
	full, ok := relative(l.parser.file, name)
	if !ok {
		return nil, fmt.Errorf("file %q must lie beside the scenario or below it", name)
	}
	data, err := fs.ReadFile(l.fsys, full)
	if err != nil {
		return nil, fmt.Errorf("file %s cannot be read: %s", full, reason(err))
	}
	set, err := descriptor.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", full, err)
	}
	return &described{set: set, files: []FileRef{{name, Digest(data)}}}, nil
}

// Describe reads what the plan's files say of the services of a call; nil when it goes by reflection. content
// returns a file by its digest.
func (g *GRPC) Describe(content func(digest string) ([]byte, error)) (*descriptor.Set, error) {
	switch {
	case g.Proto != "":
		return descriptor.Compile(g.Proto, func(name string) (io.ReadCloser, error) {
			i := slices.IndexFunc(g.Files, func(f FileRef) bool { return f.Name == name })
			if i < 0 {
				return nil, fs.ErrNotExist
			}
			data, err := content(g.Files[i].Digest)
			if err != nil {
				return nil, err
			}
			return io.NopCloser(bytes.NewReader(data)), nil
		})
	case g.Descriptor != "" && len(g.Files) == 1:
		data, err := content(g.Files[0].Digest)
		if err != nil {
			return nil, err
		}
		return descriptor.Decode(data)
	}
	return nil, nil
}

// Service returns the full name of the service that the method belongs to.
func (g *GRPC) Service() string {
	service, _, _ := strings.Cut(g.Method, "/")
	return service
}

// look shows every template and expression of the call.
func (g *GRPC) look(look func(string)) {
	look(fmt.Sprint(g.Send))
	for _, f := range g.Metadata {
		look(f.Value)
	}
	look(g.Until)
}
