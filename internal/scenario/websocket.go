package scenario

import (
	"maps"
	"slices"
	"strings"

	"proofload/internal/scenario/expression"
)

// WebSocketF is one connection and what is said on it.
type WebSocketF struct {
	Path         TemplateText            `yaml:"path,required" is:"path"`
	Headers      map[string]TemplateText `yaml:"headers" keys:"header"`
	Query        map[string]TemplateText `yaml:"query"`
	Subprotocols []Text                  `yaml:"subprotocols" items:"header"`
	Script       []ActionF               `yaml:"script"`
	Close        *FarewellF              `yaml:"close"`
	At           pos                     `yaml:"-"`
}

// FarewellF is how a connection is closed.
type FarewellF struct {
	Code   *Count `yaml:"code" is:"1000..4999"`
	Reason *Text  `yaml:"reason"`
}

// webSocketRoots is what can be read of a conversation over a WebSocket.
var webSocketRoots = []expression.Root{
	expression.Status, expression.Code, expression.Message, expression.Messages, expression.JSON, expression.Body, expression.Size, expression.Duration,
}

// defaultCloseCode is that of a normal closure.
const defaultCloseCode = 1000

// maxCloseReason is what a close frame has room for, in bytes.
const maxCloseReason = 123

func (l *loader) webSocket(step *Step, f StepF, scope expression.Scope) {
	in := f.WebSocket
	step.Target = l.stepTarget(f, protocolWebSocket)
	w := WebSocket{Path: in.Path.Value, CloseCode: defaultCloseCode}
	l.checkTemplate(w.Path, in.Path.At, scope)
	for _, name := range slices.Sorted(maps.Keys(in.Headers)) {
		v := in.Headers[name]
		l.checkTemplate(v.Value, v.At, scope)
		if strings.HasPrefix(strings.ToLower(name), "sec-websocket-") {
			l.fail(v.At, "header %s belongs to the handshake: leave it out, and write subprotocols for those", name)
		}
		w.Headers = append(w.Headers, Field{name, v.Value})
	}
	for _, name := range slices.Sorted(maps.Keys(in.Query)) {
		v := in.Query[name]
		l.checkTemplate(v.Value, v.At, scope)
		w.Query = append(w.Query, Field{name, v.Value})
	}
	for _, p := range in.Subprotocols {
		w.Subprotocols = append(w.Subprotocols, p.Value)
	}
	scope.Roots = webSocketRoots
	w.Script = l.script(in.Script, scope, byMessage)
	if in.Close != nil {
		l.farewell(&w, in.Close)
	}
	step.WebSocket = &w
}

// farewell takes how a connection is closed. Codes that no frame may carry are refused.
func (l *loader) farewell(w *WebSocket, f *FarewellF) {
	if f.Code != nil {
		w.CloseCode = int(f.Code.Value)
		if c := w.CloseCode; c > 1014 && c < 3000 || slices.Contains([]int{1004, 1005, 1006}, c) {
			l.fail(f.Code.At, "code %d cannot be sent: 1000 is a normal closure, 3000 to 4999 are free for use", c)
		}
	}
	if f.Reason != nil {
		if w.CloseReason = f.Reason.Value; len(w.CloseReason) > maxCloseReason {
			l.fail(f.Reason.At, "the reason has %d bytes, and a close frame has room for %d", len(w.CloseReason), maxCloseReason)
		}
	}
}
