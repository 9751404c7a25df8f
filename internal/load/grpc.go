package load

import (
	"context"
	"fmt"

	"proofload/internal/load/flow"
	"proofload/internal/load/grpcload"
	"proofload/internal/scenario"
	"proofload/internal/scenario/descriptor"
)

// methods finds what describes the methods of grpc steps: the files of the plan, or the servers themselves,
// each of which is asked once.
type methods struct {
	content   func(digest string) ([]byte, error)
	clients   map[string]*grpcload.Client
	files     map[string]*descriptor.Set            // by name
	reflected map[string]map[string]*descriptor.Set // by target and service
}

func newMethods(content func(string) ([]byte, error), clients map[string]*grpcload.Client) *methods {
	return &methods{content: content, clients: clients, files: map[string]*descriptor.Set{}, reflected: map[string]map[string]*descriptor.Set{}}
}

// prepare asks the servers for what no file tells.
func (m *methods) prepare(ctx context.Context, plan *scenario.Plan) error {
	wanted := map[string][]string{}
	for s := range plan.Steps() {
		if g := s.GRPC; g != nil && g.Proto == "" && g.Descriptor == "" {
			wanted[s.Target] = append(wanted[s.Target], g.Service())
		}
	}
	for target, services := range wanted {
		c, ok := m.clients[target]
		if !ok {
			return fmt.Errorf("there is no target %q", target)
		}
		sets, err := c.Reflect(ctx, services)
		if err != nil {
			return fmt.Errorf("target %s: %w", target, err)
		}
		m.reflected[target] = sets
	}
	return nil
}

// find returns what describes a step's method.
func (m *methods) find(s *scenario.Step) (flow.Method, error) {
	set, err := m.set(s)
	if err != nil {
		return flow.Method{}, err
	}
	d, err := set.Method(s.GRPC.Method)
	return flow.Method{Set: set, Descriptor: d}, err
}

func (m *methods) set(s *scenario.Step) (*descriptor.Set, error) {
	g := s.GRPC
	name := g.Proto + g.Descriptor
	if name == "" {
		return m.reflected[s.Target][g.Service()], nil
	}
	if set, ok := m.files[name]; ok {
		return set, nil
	}
	set, err := g.Describe(m.content)
	if err == nil {
		m.files[name] = set
	}
	return set, err
}
