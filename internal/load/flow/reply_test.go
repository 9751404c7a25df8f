package flow

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"proofload/internal/load/sockload"
	"proofload/internal/load/wsload"
	"proofload/internal/scenario"
)

// echoAfter is how long the servers of these tests take for a message before they send it back.
const echoAfter = 50 * time.Millisecond

// startEchoes starts a server of each protocol and returns a step that speaks with it. Those that may greet with
// "hello" do so as soon as somebody is there.
func startEchoes(t *testing.T, greet bool) (steps map[string]scenario.Step, opts Options) {
	t.Helper()
	steps = map[string]scenario.Step{"websocket": {WebSocket: &scenario.WebSocket{Path: "/", CloseCode: 1000}}, "tcp": {Socket: &scenario.Socket{}}}
	if !greet {
		steps["udp"] = scenario.Step{Socket: &scenario.Socket{}} // there is nobody to greet before a datagram came
	}
	opts = Options{Sockets: map[string]*sockload.Client{}, WebSockets: map[string]*wsload.Client{}}
	ws, err := wsload.NewClient(wsload.Options{Target: echoWebSocket(t, greet)})
	if err != nil {
		t.Fatal(err)
	}
	opts.WebSockets["websocket"] = ws
	for name, target := range map[string]*url.URL{"tcp": echoTCP(t, greet), "udp": echoUDP(t)} {
		if opts.Sockets[name], err = sockload.NewClient(sockload.Options{Target: target}); err != nil {
			t.Fatal(err)
		}
	}
	return steps, opts
}

func echoWebSocket(t *testing.T, greet bool) *url.URL {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		ctx := context.Background() // the client ends the connection
		if greet {
			_ = c.Write(ctx, websocket.MessageText, []byte("hello"))
		}
		for {
			kind, data, err := c.Read(ctx)
			if err != nil {
				return
			}
			time.Sleep(echoAfter)
			_ = c.Write(ctx, kind, data)
		}
	}))
	t.Cleanup(s.Close)
	return &url.URL{Scheme: "ws", Host: strings.TrimPrefix(s.URL, "http://")}
}

func echoTCP(t *testing.T, greet bool) *url.URL {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		if greet {
			_, _ = c.Write([]byte("hello"))
		}
		buf := make([]byte, 64)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			time.Sleep(echoAfter)
			_, _ = c.Write(buf[:n])
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return &url.URL{Scheme: "tcp", Host: l.Addr().String()}
}

func echoUDP(t *testing.T) *url.URL {
	c, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 64)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			time.Sleep(echoAfter)
			_, _ = c.WriteTo(buf[:n], from)
		}
	})
	t.Cleanup(func() {
		_ = c.Close()
		wg.Wait()
	})
	return &url.URL{Scheme: "udp", Host: c.LocalAddr().String()}
}

// Elements of scripts.
func sends(text string) scenario.Action {
	return scenario.Action{Send: &scenario.Payload{Text: &text}}
}

func expects(text string) scenario.Action {
	return scenario.Action{Expect: &scenario.Expectation{Text: &text}}
}

func waits(d time.Duration) scenario.Action {
	return scenario.Action{Wait: &scenario.Distribution{Kind: "fixed", Value: d}}
}

// saying is a step of a protocol with a script.
func saying(step scenario.Step, protocol string, script []scenario.Action) scenario.Step {
	if step.Name, step.Target = "talk", protocol; step.WebSocket != nil {
		step.WebSocket.Script = script
	} else {
		step.Socket.Script = script
	}
	return step
}

// speaking begins to execute a step once, as one of wg, and returns what will have come of it.
func speaking(t *testing.T, wg *sync.WaitGroup, opts Options, step scenario.Step) *record {
	t.Helper()
	step.Timeout = 30 * time.Second
	p, err := Compile(&scenario.Plan{Flows: map[string]scenario.Flow{"f": {Steps: []scenario.Step{step}}}}, opts)
	if err != nil {
		t.Fatal(err)
	}
	r := &record{}
	it := &Iteration{ID: Once(1, "test"), Clock: wallClock{time.Now()}, Sink: r}
	if err := it.Prepare(p, p.Flow("f")); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	wg.Go(func() { _, r.err = it.Run(ctx, p.Flow("f")) })
	return r
}

// conversed is a case of TestReplyTime.
type conversed struct {
	name    string
	only    string // the protocol that it is about; empty: all
	greet   bool
	script  []scenario.Action
	kind    string
	service time.Duration   // that it is at least
	replies []time.Duration // that there are, and are at least
}

const restsFor = 2 * time.Second // far longer than anything else takes

// check holds what came of it against what it is about.
func (tt *conversed) check(t *testing.T, r *record) {
	t.Helper()
	if len(r.reports) != 1 || r.reports[0].Kind != tt.kind {
		t.Fatalf("%q, want the kind %q", r.outcomes(), tt.kind)
	}
	q := &r.reports[0]
	if q.Service < tt.service || q.Service >= restsFor || q.Response < q.Service || q.Response >= restsFor {
		t.Errorf("response time %v, service time %v", q.Response, q.Service)
	}
	if len(r.replies) != len(tt.replies) {
		t.Fatalf("replies %v, want %d", r.replies, len(tt.replies))
	}
	for i, least := range tt.replies {
		if r.replies[i] < least || r.replies[i] >= restsFor {
			t.Errorf("reply %d after %v, want at least %v", i+1, r.replies[i], least)
		}
	}
}

var conversations = []conversed{
	{"echoes", "", false, []scenario.Action{waits(restsFor), sends("a"), expects("a"), sends("b"), expects("b")}, "", echoAfter, []time.Duration{echoAfter, echoAfter}},
	{"two before one", "", false, []scenario.Action{sends("a"), waits(restsFor), sends("b"), {Expect: &scenario.Expectation{Pattern: "b", Skip: true}}}, "", 0, []time.Duration{0}},
	{"came while it waited", "tcp", false, []scenario.Action{waits(restsFor / 2), sends("a"), waits(restsFor / 4), expects("a")}, "", echoAfter, []time.Duration{echoAfter}},
	{"something else", "", false, []scenario.Action{waits(restsFor), sends("a"), expects("b")}, "check", echoAfter, nil},
	{"greeted", "", true, []scenario.Action{expects("hello"), waits(10 * time.Millisecond), sends("a"), expects("a")}, "", 0, []time.Duration{0, echoAfter}},
	{"greeted while it waited", "websocket", true, []scenario.Action{waits(restsFor), sends("a"), expects("a")}, "", 0, []time.Duration{echoAfter}},
	{"kept while it waited", "tcp", true, []scenario.Action{waits(restsFor), expects("hello"), sends("a"), expects("a")}, "", 0, []time.Duration{0, echoAfter}},
	{"nothing is expected", "", false, []scenario.Action{waits(10 * time.Millisecond), sends("a")}, "", 0, nil},
}

// TestReplyTime: each message that was expected says how long the server took for it, and what the script waits of
// its own accord is in no time of the answer.
func TestReplyTime(t *testing.T) {
	var wg sync.WaitGroup
	var all []func()
	for _, tt := range conversations {
		steps, opts := startEchoes(t, tt.greet)
		for protocol, step := range steps {
			if tt.only != "" && tt.only != protocol {
				continue
			}
			r := speaking(t, &wg, opts, saying(step, protocol, tt.script))
			all = append(all, func() { t.Run(tt.name+"/"+protocol, func(t *testing.T) { tt.check(t, r) }) })
		}
	}
	wg.Wait()
	for _, check := range all {
		check()
	}
}

// TestPassedOver: an expectation that is not met in time says how many messages came that were not it.
func TestPassedOver(t *testing.T) {
	steps, opts := startEchoes(t, false)
	var wg sync.WaitGroup
	said := map[string]*record{}
	for _, protocol := range []string{"websocket", "udp"} {
		script := []scenario.Action{sends("a"), sends("b"), {Expect: &scenario.Expectation{Pattern: "z", Skip: true, Timeout: 2 * time.Second}}}
		said[protocol] = speaking(t, &wg, opts, saying(steps[protocol], protocol, script))
	}
	wg.Wait()
	for protocol, r := range said {
		if len(r.reports) != 1 || r.reports[0].Kind != "timeout" || r.err == nil || !strings.HasSuffix(r.err.Error(), "it did not come within 2s; 2 that came were passed over") {
			t.Errorf("%s: %+v, %v", protocol, r.reports, r.err)
		}
	}
}
