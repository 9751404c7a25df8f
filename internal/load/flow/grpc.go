package flow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/reflect/protoreflect"

	"proofload/internal/load/grpcload"
	"proofload/internal/load/transport"
	"proofload/internal/scenario"
	"proofload/internal/scenario/descriptor"
	"proofload/internal/scenario/expression"
)

// Method is a method of gRPC with what describes its messages.
type Method struct {
	Set        *descriptor.Set
	Descriptor protoreflect.MethodDescriptor
}

// rpc is the operation of a grpc step.
type rpc struct {
	step     *Step
	client   *grpcload.Client
	method   Method
	messages []message
	metadata []pair
	constant metadata.MD // when no metadata changes
	call     grpcload.Call

	own     bool    // the user's own connection
	sample  float64 // share of the calls that carry a traceparent
	until   *expression.Program
	count   int64
	hold    bool // the client's side stays open until the stream ends
	every   bool // something reads messages
	decoded bool // something reads a message
}

// message is a message to send: its wire form, or the JSON that becomes it.
type message struct {
	wire     []byte
	document *document
}

// rpcState is what an iteration keeps of a call.
type rpcState struct {
	wire     [][]byte
	encoded  []byte // the message of a unary call with templates
	call     grpcload.Call
	response grpcload.Response
	size     int64
	messages inbox
}

// trim gives back what may be large.
func (s *rpcState) trim() {
	if s == nil {
		return
	}
	s.response.Trim()
	clear(s.wire)
	if cap(s.encoded) > keptSize {
		s.encoded = nil
	}
	s.messages = inbox{}
}

// Header implements expression.HeaderReader, for the metadata at the head of the answer and at its end.
func (s *rpcState) Header(name string) (string, bool) {
	name = strings.ToLower(name)
	for _, md := range []metadata.MD{s.response.Header, s.response.Trailer} {
		if v := md[name]; len(v) > 0 {
			return v[0], true
		}
	}
	return "", false
}

// grpc compiles a grpc step, after what reads its response.
func (c *compiler) grpc(s *Step, in *scenario.Step) (*rpc, error) {
	g := in.GRPC
	client := c.opts.GRPC[in.Target]
	if client == nil || c.opts.Method == nil {
		return nil, fmt.Errorf("there is no target %q", in.Target)
	}
	method, err := c.opts.Method(in)
	if err != nil {
		return nil, err
	}
	if err := scenario.FitsMethod(g, method.Descriptor); err != nil {
		return nil, err
	}
	r := &rpc{step: s, client: client, method: method, count: g.Count, hold: g.CloseAfter > 0}
	target := c.opts.plan.Targets[in.Target]
	r.own, r.sample = ownConnections(target), target.Trace
	r.every = c.reads(expression.Messages)
	r.decoded = r.every || c.reads(expression.Message)
	r.call = grpcload.Call{
		Method: "/" + g.Method, Timeout: in.Timeout, CloseAfter: g.CloseAfter, KeepMetadata: c.reads(expression.Headers),
		FromClient: method.Descriptor.IsStreamingClient(), FromServer: method.Descriptor.IsStreamingServer(),
	}
	if g.Until != "" {
		if r.until, err = c.expr(g.Until); err != nil {
			return nil, fmt.Errorf("until: %w", err)
		}
		r.every = r.every || r.until.Reads(expression.Messages)
		r.decoded = true
	}
	r.call.KeepMessage = r.decoded
	if err = c.messages(r, g); err != nil {
		return nil, err
	}
	return r, c.metadata(r, g)
}

// messages compiles what is sent. A message that never changes is encoded once.
func (c *compiler) messages(r *rpc, g *scenario.GRPC) error {
	send := g.Send
	if send == nil && !r.method.Descriptor.IsStreamingClient() {
		send = []any{map[string]any{}}
	}
	for i, tree := range send {
		d, err := c.document(tree)
		if err != nil {
			return fmt.Errorf("message %d: %w", i+1, err)
		}
		m := message{document: d}
		if text, ok := d.constant(); ok {
			if m.wire, err = r.method.Set.Encode(nil, r.method.Descriptor.Input(), text); err != nil {
				return fmt.Errorf("message %d: %w", i+1, err)
			}
			m.document = nil
		}
		r.messages = append(r.messages, m)
	}
	return nil
}

func (c *compiler) metadata(r *rpc, g *scenario.GRPC) error {
	var err error
	if r.metadata, err = c.pairs(g.Metadata, strings.Clone); err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	md := metadata.MD{}
	for i := range r.metadata {
		if r.metadata[i].value.template != nil {
			return nil
		}
		md.Set(r.metadata[i].name, r.metadata[i].value.constant)
	}
	r.constant = md
	r.call.Head = r.client.NewHead(r.call.Method, md)
	return nil
}

func (r *rpc) build(it *Iteration) error {
	if it.rpc == nil {
		it.rpc = &rpcState{}
	}
	x := it.rpc
	x.call, x.wire = r.call, x.wire[:0]
	if r.own {
		x.call.Session = it.session().grpc(r.client)
	}
	if x.call.Metadata = r.constant; r.constant == nil {
		x.call.Metadata = make(metadata.MD, len(r.metadata))
		for i := range r.metadata {
			m := &r.metadata[i]
			value, err := m.value.string(it)
			if err != nil {
				return fmt.Errorf("metadata %s: %w", m.name, err)
			}
			x.call.Metadata.Set(m.name, value)
		}
	}
	r.traced(it)
	for i := range r.messages {
		m := &r.messages[i]
		wire := m.wire
		if m.document != nil {
			var err error
			if it.body, err = m.document.append(it, it.body[:0]); err != nil {
				return fmt.Errorf("message %d: %w", i+1, err)
			}
			// That of a stream is not kept for the next one: the connection may hold it for longer than the call lasts.
			var kept []byte
			if !r.call.FromClient && !r.call.FromServer {
				kept = x.encoded[:0]
			}
			if wire, err = r.method.Set.Encode(kept, r.method.Descriptor.Input(), it.body); err != nil {
				return fmt.Errorf("message %d: %w", i+1, err)
			}
			if kept != nil {
				x.encoded = wire
			}
		}
		x.wire = append(x.wire, wire)
	}
	return nil
}

// traced gives the call a traceparent if it is one of the share that is sampled. What all calls have in common is left
// as it is.
func (r *rpc) traced(it *Iteration) {
	it.trace = ""
	call := &it.rpc.call
	if r.sample == 0 || len(call.Metadata.Get(traceparent)) > 0 {
		return
	}
	parent := it.parent(r.sample, r.step.Index)
	if parent == "" {
		return
	}
	call.Head, call.Metadata = nil, call.Metadata.Copy()
	call.Metadata.Set(traceparent, parent)
}

func (r *rpc) do(ctx context.Context, it *Iteration, x *exchange) error {
	s := it.rpc
	s.size = 0
	s.messages = inbox{method: &r.method, every: r.every, all: s.messages.all[:0]}
	var err error
	s.call.Began = x.began
	if r.call.FromClient || r.call.FromServer {
		err = r.stream(ctx, it, x)
	} else if err = r.client.Unary(ctx, &s.call, s.wire[0], &s.response); err == nil && s.response.Code == codeOK {
		s.size = int64(s.response.Size())
		s.messages.add(s.response.Message)
	}
	in := &s.response
	x.trace, x.parts = it.trace, in.Parts
	x.sent, x.ended, x.connect, x.in, x.out = in.Sent, in.End, in.Connect, in.BytesIn, in.BytesOut
	if err != nil {
		return err
	}
	x.completed = true
	x.response = expression.Response{Code: in.Code, Size: s.size, Headers: s, Messages: &s.messages}
	return nil
}

// stream makes a call with a stream one or both ways.
func (r *rpc) stream(ctx context.Context, it *Iteration, x *exchange) error {
	s := it.rpc
	stream, err := r.client.Open(ctx, &s.call, &s.response)
	if err != nil {
		return err
	}
	if r.call.FromServer {
		x.stream.open, x.stream.whole = s.response.Sent, true
	}
	var sending sync.WaitGroup
	defer sending.Wait()
	defer stream.End()
	// Sending waits for the server to read, which may wait for us to read.
	sending.Go(func() {
		for _, m := range s.wire {
			if stream.Send(m) != nil {
				return
			}
		}
		if !r.hold {
			stream.CloseSend()
		}
	})
	for n := int64(1); ; n++ {
		m, err := stream.Receive()
		if errors.Is(err, grpcload.ErrEnded) {
			return nil
		}
		if err != nil {
			return err
		}
		it.arrived(r.step, time.Now())
		s.size += int64(stream.Size())
		s.messages.add(m)
		enough, err := r.enough(it, n)
		if err != nil || enough {
			return err
		}
	}
}

// enough tells whether nothing more of a stream is wanted after n messages.
func (r *rpc) enough(it *Iteration, n int64) (bool, error) {
	if r.count > 0 {
		return n >= r.count, nil
	}
	if r.until == nil {
		return false, nil
	}
	it.values.Response = &expression.Response{Messages: &it.rpc.messages}
	defer func() { it.values.Response = nil }()
	ok, err := r.until.Bool(&it.values)
	if err != nil {
		return false, &transport.Error{Kind: KindCheck, Op: "until", Err: err}
	}
	return ok, nil
}
