package descriptor

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Encode turns a message in JSON, with the names of the .proto file or those of JSON, into its wire form,
// which is appended to dst. Equal messages have equal bytes.
func (s *Set) Encode(dst []byte, md protoreflect.MessageDescriptor, text []byte) ([]byte, error) {
	m := dynamicpb.NewMessage(md)
	if err := (protojson.UnmarshalOptions{Resolver: s.types}).Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("the message is no %s: %w", md.FullName(), where(err))
	}
	out, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(dst, m)
	if err != nil {
		return nil, fmt.Errorf("the message is no %s: %w", md.FullName(), clean(err))
	}
	return out, nil
}

// where takes the position in the JSON from an error: it is that of an encoding that nobody has seen.
func where(err error) error {
	text := strings.TrimPrefix(clean(err).Error(), "syntax error ")
	if strings.HasPrefix(text, "(line ") {
		if _, rest, ok := strings.Cut(text, "): "); ok {
			text = rest
		}
	}
	return errors.New(text)
}

// Check tells whether a message of the scenario fits: a tree of map[string]any, []any and scalars. A text for
// which template is true has a value that only the run knows, and fits wherever one value can stand.
func (s *Set) Check(md protoreflect.MessageDescriptor, tree any, template func(text string) bool) error {
	filled := filler{template}.message(md, tree)
	text, err := json.Marshal(filled)
	if err != nil {
		return fmt.Errorf("the message is no %s: %w", md.FullName(), err)
	}
	_, err = s.Encode(nil, md, text)
	return err
}

// filler puts values that fit in place of templates.
type filler struct{ template func(text string) bool }

func (f filler) message(md protoreflect.MessageDescriptor, tree any) any {
	if f.open(tree) {
		return example(md)
	}
	fields, ok := tree.(map[string]any)
	if !ok || strings.HasPrefix(string(md.FullName()), "google.protobuf.") {
		if f.within(tree) {
			return example(md)
		}
		return tree
	}
	out := make(map[string]any, len(fields))
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		fd := md.Fields().ByJSONName(name)
		if fd == nil {
			fd = md.Fields().ByTextName(name)
		}
		if fd == nil {
			out[name] = nil // not known, which the library says
			continue
		}
		out[name] = f.field(fd, fields[name])
	}
	return out
}

// open tells whether a value is a template as a whole.
func (f filler) open(v any) bool {
	text, ok := v.(string)
	return ok && f.template(text)
}

// within tells whether a template stands somewhere in a value.
func (f filler) within(v any) bool {
	switch x := v.(type) {
	case string:
		return f.template(x)
	case map[string]any:
		for _, e := range x {
			if f.within(e) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(x, f.within)
	}
	return false
}

func (f filler) field(fd protoreflect.FieldDescriptor, v any) any {
	if f.open(v) && (fd.IsList() || fd.IsMap()) {
		return nil // it may yield a whole list or map
	}
	switch x := v.(type) {
	case []any:
		if fd.IsList() {
			out := make([]any, len(x))
			for i := range x {
				out[i] = f.single(fd, x[i])
			}
			return out
		}
	case map[string]any:
		if fd.IsMap() {
			out := make(map[string]any, len(x))
			for key, e := range x {
				out[key] = f.single(fd.MapValue(), e)
			}
			return out
		}
	}
	return f.single(fd, v)
}

// single fills one value: of a field, or an entry of its list or map.
func (f filler) single(fd protoreflect.FieldDescriptor, v any) any {
	if md := fd.Message(); md != nil {
		return f.message(md, v)
	}
	if !f.open(v) {
		return v
	}
	switch fd.Kind() {
	case protoreflect.StringKind, protoreflect.BytesKind:
		return ""
	case protoreflect.BoolKind:
		return false
	}
	return 0
}

// example is a value of a message type that fits; for those of google/protobuf it is no object.
func example(md protoreflect.MessageDescriptor) any {
	switch md.FullName() {
	case "google.protobuf.Timestamp":
		return "1970-01-01T00:00:00Z"
	case "google.protobuf.Duration":
		return "0s"
	case "google.protobuf.FieldMask", "google.protobuf.StringValue", "google.protobuf.BytesValue":
		return ""
	case "google.protobuf.BoolValue":
		return false
	case "google.protobuf.ListValue":
		return []any{}
	case "google.protobuf.Value":
		return nil
	}
	if strings.HasPrefix(string(md.FullName()), "google.protobuf.") && strings.HasSuffix(string(md.Name()), "Value") {
		return 0
	}
	return map[string]any{}
}
