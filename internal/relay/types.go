package relay

import (
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// message makes messages of one type.
type message = protoreflect.MessageType

// kinds are the types of the messages of a method.
type kinds struct{ input, output message }

// typesOf finds the types of a method, which the generated code has registered. It is UNIMPLEMENTED for a
// method that this version does not have.
func typesOf(method string) (kinds, error) {
	service, name, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return kinds{}, unknown(method)
	}
	d, ok := found.(protoreflect.ServiceDescriptor)
	if !ok {
		return kinds{}, unknown(method)
	}
	m := d.Methods().ByName(protoreflect.Name(name))
	if m == nil {
		return kinds{}, unknown(method)
	}
	input, err := protoregistry.GlobalTypes.FindMessageByName(m.Input().FullName())
	if err != nil {
		return kinds{}, unknown(method)
	}
	output, err := protoregistry.GlobalTypes.FindMessageByName(m.Output().FullName())
	if err != nil {
		return kinds{}, unknown(method)
	}
	return kinds{input, output}, nil
}

func unknown(method string) error {
	return status.Errorf(codes.Unimplemented, "method %s is not known here", method)
}
