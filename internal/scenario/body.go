package scenario

import (
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"proofload/internal/scenario/expression"
)

// FileF is a file that is sent: its name, or a map that says how it is read.
type FileF struct {
	Name     Text
	Template bool
}

type fileMap struct {
	Path     Text  `yaml:"path,required" is:"text"`
	Template *Flag `yaml:"template"`
}

func (f *FileF) decode(d *decoder, n *node) {
	if n.kind != mapNode {
		if f.Name.decode(d, n); n.kind == scalarNode {
			d.rules("text", field{"file", n.pos, n}, reflect.ValueOf(f.Name))
		}
		return
	}
	var long fileMap
	d.decode(n, &long)
	f.Name = long.Path
	f.Template = long.Template != nil && long.Template.Value
}

// PartF is one part of a multipart body.
type PartF struct {
	Name     Text          `yaml:"name,required" is:"text"`
	Value    *TemplateText `yaml:"value" one:"content"`
	File     *FileF        `yaml:"file" one:"content"`
	Filename *TemplateText `yaml:"filename" with:"file: a value has no file name"`
	Type     *Text         `yaml:"type" is:"text"`
	At       pos           `yaml:"-"`
}

// body builds the body of a request.
func (l *loader) body(h *HTTP, f *HTTPF, scope expression.Scope) {
	h.JSON, h.HasJSON = f.JSON.Value, f.JSON.Set
	l.checkTree(h.JSON, f.JSON.At, scope)
	if f.Body != nil {
		l.checkTemplate(f.Body.Value, f.Body.At, scope)
		h.Body = &f.Body.Value
	}
	h.Form = l.fields(f.Form, scope)
	for i := range f.Parts {
		h.Multipart = append(h.Multipart, l.part(&f.Parts[i], scope))
	}
	if f.File != nil {
		h.File = l.bodyFile(f.File, scope)
	}
	if f.Compress == nil || f.Compress.Value != "gzip" {
		return
	}
	h.Compress = f.Compress.Value
	if h.BodyKind() == "" {
		l.fail(f.Compress.At, "compress needs a body: json, body, form, multipart or file")
	}
}

// BodyKind returns the key by which the request has a body; empty when it has none.
func (h *HTTP) BodyKind() string {
	switch {
	case h.HasJSON:
		return "json"
	case h.Body != nil:
		return "body"
	case len(h.Form) > 0:
		return "form"
	case len(h.Multipart) > 0:
		return "multipart"
	case h.File != nil:
		return "file"
	}
	return ""
}

// fields builds named templates, by name: a map of YAML has no order.
func (l *loader) fields(in map[string]TemplateText, scope expression.Scope) []Field {
	var out []Field
	for _, name := range slices.Sorted(maps.Keys(in)) {
		v := in[name]
		l.checkTemplate(v.Value, v.At, scope)
		out = append(out, Field{name, v.Value})
	}
	return out
}

// lineBreaks could end the head of a part early.
const lineBreaks = "\r\n\x00"

func (l *loader) part(f *PartF, scope expression.Scope) Part {
	p := Part{Name: f.Name.Value}
	if strings.ContainsAny(p.Name, lineBreaks) {
		l.fail(f.Name.At, "name has a line break")
	}
	if f.Value != nil {
		l.checkTemplate(f.Value.Value, f.Value.At, scope)
		p.Value = &f.Value.Value
	}
	if f.File != nil {
		p.File = l.bodyFile(f.File, scope)
		p.Filename, p.Type = expression.Escape(path.Base(f.File.Name.Value)), "application/octet-stream"
	}
	if f.Filename != nil {
		l.checkTemplate(f.Filename.Value, f.Filename.At, scope)
		p.Filename = f.Filename.Value
	}
	if f.Type != nil {
		p.Type = f.Type.Value
		if strings.ContainsAny(p.Type, lineBreaks) {
			l.fail(f.Type.At, "type has a line break")
		}
	}
	return p
}

// bodyFile reads a file that is sent, and checks its templates if it has some.
func (l *loader) bodyFile(f *FileF, scope expression.Scope) *BodyFile {
	ref, data, ok := l.shipped(f.Name)
	out := &BodyFile{FileRef: ref, Template: f.Template}
	if !ok || !f.Template {
		return out
	}
	if !utf8.Valid(data) {
		l.fail(f.Name.At, "file %s is no text in UTF-8: only a text can be a template", ref.Name)
		return out
	}
	t, err := expression.CompileTemplate(string(data), scope)
	if err != nil {
		l.fail(f.Name.At, "file %s: %s", ref.Name, err)
		return out
	}
	l.note(t.References())
	for _, ref := range t.References() {
		switch ref.Root {
		case expression.Data:
			if !slices.Contains(out.Data, ref.Name) {
				out.Data = append(out.Data, ref.Name)
			}
		case expression.Env:
			l.variable(ref, f.Name.At)
		}
	}
	return out
}

// variable notes an environment variable that a file reads: the scenario itself does not name it.
func (l *loader) variable(ref expression.Ref, at pos) {
	if l.opts.Getenv != nil {
		if v, ok := l.opts.Getenv(ref.Name); ok {
			l.plan.Env[ref.Name] = v
			return
		}
	}
	if !ref.Guarded {
		l.fail(at, "environment variable %s is not set", ref.Name)
	}
}

// look shows every template of the request.
func (h *HTTP) look(look func(string)) {
	look(h.Path)
	for _, f := range slices.Concat(h.Headers, h.Query, h.Form) {
		look(f.Value)
	}
	if h.Body != nil {
		look(*h.Body)
	}
	look(fmt.Sprint(h.JSON))
	files := []*BodyFile{h.File}
	for i := range h.Multipart {
		p := &h.Multipart[i]
		if p.Value != nil {
			look(*p.Value)
		}
		look(p.Filename)
		files = append(files, p.File)
	}
	for _, f := range files {
		if f != nil {
			for _, set := range f.Data {
				look("${data." + set + ".}") // what a file reads is not in the plan
			}
		}
	}
}

// files returns the files that a step needs.
func (s *Step) files() []FileRef {
	switch {
	case s.GRPC != nil:
		return s.GRPC.Files
	case s.WebSocket != nil:
		return scriptFiles(s.WebSocket.Script)
	case s.Socket != nil:
		return scriptFiles(s.Socket.Script)
	case s.HTTP == nil:
		return nil
	}
	var out []FileRef
	if f := s.HTTP.File; f != nil {
		out = append(out, f.FileRef)
	}
	for i := range s.HTTP.Multipart {
		if f := s.HTTP.Multipart[i].File; f != nil {
			out = append(out, f.FileRef)
		}
	}
	return out
}
