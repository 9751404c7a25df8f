package descriptor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Set is the files that describe services, with all that they import.
type Set struct {
	files *protoregistry.Files
	types *dynamicpb.Types // resolves what is in an Any, and extensions
}

// Compile compiles a .proto file and what it imports. open returns the content of a file by its name: name,
// and then whatever the imports say. google/protobuf/*.proto need not be there. An error names file, line and
// column.
func Compile(name string, open func(name string) (io.ReadCloser, error)) (*Set, error) {
	c := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{Accessor: open}),
		MaxParallelism: 1,
	}
	compiled, err := c.Compile(context.Background(), name)
	if err != nil {
		return nil, err
	}
	var set descriptorpb.FileDescriptorSet
	for _, f := range compiled {
		collect(&set, f, map[string]bool{})
	}
	return New(&set)
}

// collect adds a file after those that it imports.
func collect(set *descriptorpb.FileDescriptorSet, f protoreflect.FileDescriptor, seen map[string]bool) {
	if seen[f.Path()] {
		return
	}
	seen[f.Path()] = true
	imports := f.Imports()
	for i := range imports.Len() {
		collect(set, imports.Get(i).FileDescriptor, seen)
	}
	set.File = append(set.File, protodesc.ToFileDescriptorProto(f))
}

// Decode reads a descriptor set: a FileDescriptorSet in wire form, as protoc --descriptor_set_out
// --include_imports and buf build write it.
func Decode(data []byte) (*Set, error) {
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(data, &set); err != nil {
		return nil, errors.New("it is no descriptor set: write one with `buf build -o` or `protoc --include_imports --descriptor_set_out`")
	}
	if len(set.GetFile()) == 0 {
		return nil, errors.New("the descriptor set has no files")
	}
	return New(&set)
}

// New links files. What they import of google/protobuf and is missing is added.
func New(set *descriptorpb.FileDescriptorSet) (*Set, error) {
	files, err := protodesc.NewFiles(complete(set))
	if err != nil {
		return nil, clean(err)
	}
	return &Set{files: files, types: dynamicpb.NewTypes(files)}, nil
}

// complete adds the imports that every program has.
func complete(set *descriptorpb.FileDescriptorSet) *descriptorpb.FileDescriptorSet {
	have := map[string]bool{}
	for _, f := range set.GetFile() {
		have[f.GetName()] = true
	}
	all := &descriptorpb.FileDescriptorSet{File: slices.Clone(set.GetFile())}
	for i := 0; i < len(all.File); i++ { // it grows
		for _, name := range all.File[i].GetDependency() {
			if have[name] {
				continue
			}
			have[name] = true
			if f, err := protoregistry.GlobalFiles.FindFileByPath(name); err == nil && strings.HasPrefix(name, "google/protobuf/") {
				all.File = append(all.File, protodesc.ToFileDescriptorProto(f))
			}
		}
	}
	return all
}

// Method finds a method by package.Service/Method. The error lists what there is instead.
func (s *Set) Method(name string) (protoreflect.MethodDescriptor, error) {
	service, method, _ := strings.Cut(name, "/")
	d, err := s.files.FindDescriptorByName(protoreflect.FullName(service))
	sd, ok := d.(protoreflect.ServiceDescriptor)
	if err != nil || !ok {
		return nil, fmt.Errorf("there is no service %s%s", service, list(s.Services()))
	}
	if m := sd.Methods().ByName(protoreflect.Name(method)); m != nil {
		return m, nil
	}
	var names []string
	for i := range sd.Methods().Len() {
		names = append(names, string(sd.Methods().Get(i).Name()))
	}
	return nil, fmt.Errorf("service %s has no method %s%s", service, method, list(names))
}

// Services lists the services by their full names, sorted.
func (s *Set) Services() []string {
	var names []string
	s.files.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			names = append(names, string(f.Services().Get(i).FullName()))
		}
		return true
	})
	slices.Sort(names)
	return names
}

func list(names []string) string {
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	if len(names) > 12 {
		names = append(names[:12], "...")
	}
	return "; there is " + strings.Join(names, ", ")
}

// clean takes the library's prefix from an error, whose space is not always the same.
func clean(err error) error {
	text := strings.TrimPrefix(err.Error(), "proto:")
	return errors.New(strings.TrimLeft(text, " \u00a0"))
}
