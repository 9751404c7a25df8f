package descriptor

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"proofload/internal/scenario/expression"
)

// Tree decodes a message for expressions: map[string]any with the names of JSON, []any and scalars, as
// expression.DecodeJSON would yield them. A whole number is a number, whatever its width; bytes are base64; an
// enum is the name of its value. A field that is not set has its default value, unless its presence is
// known: then it is absent.
func (s *Set) Tree(md protoreflect.MessageDescriptor, wire []byte) (any, error) {
	m := dynamicpb.NewMessage(md)
	if err := (proto.UnmarshalOptions{Resolver: s.types}).Unmarshal(wire, m); err != nil {
		return nil, fmt.Errorf("the message is no %s: %w", md.FullName(), clean(err))
	}
	return s.tree(m)
}

func (s *Set) tree(m protoreflect.Message) (any, error) {
	md := m.Descriptor()
	if strings.HasPrefix(string(md.FullName()), "google.protobuf.") {
		return s.wellKnown(m)
	}
	fields := md.Fields()
	out := make(map[string]any, fields.Len())
	for i := range fields.Len() {
		fd := fields.Get(i)
		if fd.HasPresence() && !m.Has(fd) {
			continue
		}
		v, err := s.field(fd, m.Get(fd))
		if err != nil {
			return nil, err
		}
		out[fd.JSONName()] = v
	}
	return out, nil
}

// wrappers are the messages that only hold a scalar.
var wrappers = map[protoreflect.Name]bool{
	"DoubleValue": true, "FloatValue": true, "Int64Value": true, "UInt64Value": true, "Int32Value": true, "UInt32Value": true,
	"BoolValue": true, "StringValue": true, "BytesValue": true,
}

// wellKnown decodes a message whose JSON has a form of its own, such as a Timestamp.
func (s *Set) wellKnown(m protoreflect.Message) (any, error) {
	if wrapped := m.Descriptor().Fields().ByName("value"); wrapped != nil && wrappers[m.Descriptor().Name()] {
		return s.value(wrapped, m.Get(wrapped))
	}
	text, err := protojson.MarshalOptions{Resolver: s.types}.Marshal(m.Interface())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.Descriptor().FullName(), clean(err))
	}
	return expression.DecodeJSON(text)
}

func (s *Set) field(fd protoreflect.FieldDescriptor, v protoreflect.Value) (any, error) {
	switch {
	case fd.IsList():
		l := v.List()
		out := make([]any, l.Len())
		for i := range out {
			var err error
			if out[i], err = s.value(fd, l.Get(i)); err != nil {
				return nil, err
			}
		}
		return out, nil
	case fd.IsMap():
		out := make(map[string]any, v.Map().Len())
		var failed error
		v.Map().Range(func(key protoreflect.MapKey, e protoreflect.Value) bool {
			out[key.String()], failed = s.value(fd.MapValue(), e)
			return failed == nil
		})
		return out, failed
	}
	return s.value(fd, v)
}

func (s *Set) value(fd protoreflect.FieldDescriptor, v protoreflect.Value) (any, error) {
	switch x := v.Interface().(type) {
	case int32:
		return int(x), nil
	case int64:
		return int(x), nil
	case uint32:
		return int(x), nil
	case uint64:
		if x > math.MaxInt {
			return json.Number(strconv.FormatUint(x, 10)), nil
		}
		return int(x), nil
	case float32:
		return float(float64(x)), nil
	case float64:
		return float(x), nil
	case []byte:
		return base64.StdEncoding.EncodeToString(x), nil
	case protoreflect.EnumNumber:
		if e := fd.Enum().Values().ByNumber(x); e != nil {
			return string(e.Name()), nil
		}
		return int(x), nil
	case protoreflect.Message:
		return s.tree(x)
	}
	return v.Interface(), nil // bool and string
}

// float names what JSON has no number for.
func float(f float64) any {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return f
}
