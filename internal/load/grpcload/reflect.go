package grpcload

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // what encodes the questions
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"proofload/internal/load/transport"
	"proofload/internal/scenario/descriptor"
)

// reflectTimeout bounds the questions of one Reflect.
const reflectTimeout = 15 * time.Second

// Reflect asks the server what describes some services, by their full names. An error says which server was
// asked for what, with the kind of what kept it from answering.
func (c *Client) Reflect(ctx context.Context, services []string) (map[string]*descriptor.Set, error) {
	out := map[string]*descriptor.Set{}
	for _, service := range services {
		if out[service] != nil {
			continue
		}
		set, err := c.reflect(ctx, service)
		if err != nil {
			return nil, fmt.Errorf("reflection of %s: %w", service, err)
		}
		out[service] = set
	}
	return out, nil
}

func (c *Client) reflect(ctx context.Context, service string) (*descriptor.Set, error) {
	ctx, cancel := context.WithTimeout(ctx, reflectTimeout)
	defer cancel()
	l, err := c.open() // its own, which is closed before there is load
	if err != nil {
		return nil, err
	}
	defer func() { _ = l.end() }() // nobody else has it
	k, done := l.begin(ctx, &Call{})
	defer done()
	set, err := reflectOver(k, l, "v1", service)
	if status.Code(err) == codes.Unimplemented {
		set, err = reflectOver(k, l, "v1alpha", service)
	}
	if status.Code(err) == codes.Unimplemented {
		return nil, errors.New("the server does not offer it: give proto or descriptor instead")
	}
	if err == nil {
		return descriptor.New(set)
	}
	if _, isStatus := status.FromError(err); !isStatus {
		return nil, err
	}
	var r Response
	if failure := l.finish(ctx, k, err, &r); failure != nil {
		return nil, failure
	}
	return nil, fmt.Errorf("the server answers %s: %s", r.Code, r.Text)
}

// asker is a stream of questions; a question is for the file with a symbol, or for one by its name.
type asker func(symbol, file string) (files [][]byte, err error)

// reflectOver collects the files that describe a service, with what they import.
func reflectOver(ctx context.Context, l *link, version, service string) (*descriptorpb.FileDescriptorSet, error) {
	ask, err := askerOf(ctx, l, version)
	if err != nil {
		return nil, err
	}
	set := &descriptorpb.FileDescriptorSet{}
	have := map[string]bool{}
	add := func(files [][]byte) error {
		for _, data := range files {
			f := &descriptorpb.FileDescriptorProto{}
			if err := proto.Unmarshal(data, f); err != nil {
				return &transport.Error{Kind: transport.KindProtocol, Op: opCall, Err: errors.New("a file of the answer is no descriptor")}
			}
			if !have[f.GetName()] {
				have[f.GetName()] = true
				set.File = append(set.File, f)
			}
		}
		return nil
	}
	files, err := ask(service, "")
	if err == nil {
		err = add(files)
	}
	for i := 0; err == nil && i < len(set.File); i++ { // it grows
		for _, name := range set.File[i].GetDependency() {
			if have[name] {
				continue
			}
			if files, err = ask("", name); err == nil {
				err = add(files)
			}
			if err != nil {
				return nil, err
			}
			have[name] = true // though it came under another name
		}
	}
	return set, err
}

// protoCodec is for the questions, which are no raw messages.
func protoCodec() grpc.CallOption { return grpc.ForceCodecV2(encoding.GetCodecV2("proto")) }

func refusal(code int32, text string) error {
	return fmt.Errorf("the server answers %s: %s", codeName(codes.Code(uint32(code))), text) //nolint:gosec // a code is small, and a large one is shown as it is
}

var errNoFiles = errors.New("the server answers with something else than files")

// askerOf opens a stream of questions. The two versions of reflection differ in their names alone.
func askerOf(ctx context.Context, l *link, version string) (asker, error) {
	both := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	stream, err := l.conn.NewStream(ctx, both, "/grpc.reflection."+version+".ServerReflection/ServerReflectionInfo", protoCodec())
	if err != nil {
		return nil, err
	}
	return func(symbol, file string) ([][]byte, error) {
		q := &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: symbol}}
		if file != "" {
			q.MessageRequest = &reflectionpb.ServerReflectionRequest_FileByFilename{FileByFilename: file}
		}
		_ = stream.SendMsg(q) // what is wrong RecvMsg tells
		a := &reflectionpb.ServerReflectionResponse{}
		err := stream.RecvMsg(a)
		switch {
		case err != nil:
			return nil, err
		case a.GetErrorResponse() != nil:
			return nil, refusal(a.GetErrorResponse().GetErrorCode(), a.GetErrorResponse().GetErrorMessage())
		case a.GetFileDescriptorResponse() == nil:
			return nil, errNoFiles
		}
		return a.GetFileDescriptorResponse().GetFileDescriptorProto(), nil
	}, nil
}
