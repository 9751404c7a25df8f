package scenario

import "proofload/internal/scenario/expression"

// SocketF is a connection of TCP, TLS or UDP and what is said on it.
type SocketF struct {
	Script []ActionF `yaml:"script,required" is:"filled"`
	At     pos       `yaml:"-"`
}

// Socket is a conversation over TCP, TLS or UDP; the target's scheme says over which.
type Socket struct {
	Script []Action `json:"script"`
}

// socketRoots is what can be read of a conversation over a socket.
var socketRoots = []expression.Root{
	expression.Message, expression.Messages, expression.JSON, expression.Body, expression.Size, expression.Duration,
}

func (l *loader) socket(step *Step, f StepF, scope expression.Scope) {
	in, protocol, over := f.TCP, protocolTCP, asBytes
	if f.UDP != nil {
		in, protocol, over = f.UDP, protocolUDP, asDatagrams
	}
	step.Target = l.stepTarget(f, protocol)
	scope.Roots = socketRoots
	step.Socket = &Socket{Script: l.script(in.Script, scope, over)}
}
