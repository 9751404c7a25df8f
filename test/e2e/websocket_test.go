package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"
)

// chat is a WebSocket server made with another library than the client's, which counts what it sees.
type chat struct {
	*httptest.Server
	opened, said, closed atomic.Int64
}

// startChat serves: it refuses /refused, closes with 1011 after the first message at /rude, greets at /greeted,
// and sends back what it is sent everywhere.
func startChat(t *testing.T) *chat {
	t.Helper()
	c := &chat{}
	up := websocket.Upgrader{Subprotocols: []string{"chat.v2"}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refused" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		conn, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		c.opened.Add(1)
		if r.URL.Path == "/greeted" {
			_ = conn.WriteJSON(map[string]string{"type": "welcome", "to": r.URL.Query().Get("name"), "protocol": conn.Subprotocol()})
		}
		for {
			kind, data, err := conn.ReadMessage()
			if websocket.IsCloseError(err, 4000) {
				c.closed.Add(1)
			}
			if err != nil {
				return
			}
			c.said.Add(1)
			if r.URL.Path == "/rude" {
				_ = conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseInternalServerErr, "down"))
				return
			}
			if conn.WriteMessage(kind, data) != nil {
				return
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// chatScenario is one second of conversations, 20 of each kind.
func chatScenario(target string) string {
	var flows, phases strings.Builder
	for _, f := range []struct{ name, step string }{
		{"good", `websocket:
        path: /greeted
        query: {name: '${data.people.name}'}
        subprotocols: [chat.v2, chat.v1]
        script:
          - {expect: 'message.type == "welcome" && message.to == data.people.name && message.protocol == "chat.v2"', timeout: 10s}
          - send: 'hello ${data.people.name}'
          - expect: {text: 'hello ${data.people.name}'}
          - send: {json: {n: 3, list: ['${data.people.name}']}}
          - expect: message.n == 3 && message.list[0] == data.people.name
          - send: {hex: 00 ff 10}
          - expect: {hex: 00ff10}
          - send: one
          - send: two
          - {expect: {pattern: '^tw'}, skip: true}
          - wait: 10ms
        close: {code: 4000, reason: done}
      expect:
        - code == "4000"
        - status == 101
        - len(messages) == 6
        - messages[0].type == "welcome"
        - message == "two"`},
		{"refused", "websocket: {path: /refused}"},
		{"rude", "websocket: {path: /rude, script: [{send: a}, {expect: {text: a}}]}"},
		{"wrong", "websocket: {path: /, script: [{send: a}, {expect: {text: b}}]}"},
		{"late", "websocket: {path: /, script: [{expect: {text: b}, timeout: 30ms}]}"},
	} {
		fmt.Fprintf(&flows, "  %s:\n    - step: %s\n      %s\n", f.name, f.name, f.step)
		fmt.Fprintf(&phases, "  - name: %s\n    flow: %s\n    late: 10s\n    rate: [{hold: {at: 20/s, for: 1s}}]\n", f.name, f.name)
	}
	return fmt.Sprintf("version: 1\nname: chat\nseed: 7\ntarget: %s\ndata:\n  people: {fake: {name: firstname}}\nflows:\n%sphases:\n%s"+
		"criteria:\n  - check: max(messages{step=\"good\"}) == 6\n  - check: p99(first_message) < 10s\n",
		target, flows.String(), phases.String())
}

// TestWebSocket: a run against an echo of another library says exactly what that counted, and gives each failure
// its kind.
func TestWebSocket(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("run", func(t *testing.T) {
		c := startChat(t)
		f := startFleet(t, 2)
		d := f.report(t, f.create(t, chatScenario("ws"+strings.TrimPrefix(c.URL, "http"))))
		want := map[string]string{"good": "", "refused": "handshake", "rude": "closed", "wrong": "check", "late": "timeout"}
		for _, row := range d.Series[1:] {
			step := row.Labels["step"]
			kind := want[step]
			delete(want, step)
			if row.Requests != 20 || kind == "" && row.Errors != 0 || kind != "" && row.ByKind[kind] != 20 {
				t.Errorf("%s: %d requests, errors %v, want 20 and %q", step, row.Requests, row.ByKind, kind)
			}
		}
		if len(want) > 0 {
			t.Errorf("without a row: %v", want)
		}
		counts, messages := map[string]int64{}, 0.0
		for _, m := range d.Measures {
			if counts[m.Name] = m.Count; m.Name == "messages" {
				messages = *m.Sum
			}
		}
		if counts["reply_time"] != 20*5 { // each but the message that was passed over
			t.Errorf("%d replies, want %d", counts["reply_time"], 20*5)
		}
		if counts["messages"] != 80 || messages != 20*6+20 || counts["first_message"] != 40 || counts["stream_time"] != 40 || counts["message_gap"] != 20*5 {
			t.Errorf("%g messages, %v", messages, counts)
		}
		if opened, said, closed := c.opened.Load(), c.said.Load(), c.closed.Load(); opened != 80 || said != 20*5+20+20 || closed != 20 {
			t.Errorf("the server counted %d connections, %d messages and %d closed with 4000", opened, said, closed)
		}
	})
}
