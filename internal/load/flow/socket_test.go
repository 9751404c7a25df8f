package flow

import (
	"context"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"proofload/internal/load/sockload"
	"proofload/internal/scenario"
)

// converses runs a step that speaks a script with a server of TCP, which handle is.
func converses(t *testing.T, handle func(c net.Conn), script ...scenario.Action) *record {
	t.Helper()
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
		handle(c)
		_, _ = c.Read(make([]byte, 1)) // until the client closes
	})
	defer wg.Wait()
	defer func() { _ = l.Close() }()
	client, err := sockload.NewClient(sockload.Options{Target: &url.URL{Scheme: "tcp", Host: l.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	step := scenario.Step{Name: "talk", Target: "peer", Timeout: 30 * time.Second, Socket: &scenario.Socket{Script: script}}
	p, err := Compile(&scenario.Plan{Flows: map[string]scenario.Flow{"f": {Steps: []scenario.Step{step}}}}, Options{Sockets: map[string]*sockload.Client{"peer": client}})
	if err != nil {
		t.Fatal(err)
	}
	r := &record{}
	it := &Iteration{ID: Once(1, "test"), Clock: wallClock{time.Now()}, Sink: r}
	if err := it.Prepare(p, p.Flow("f")); err != nil {
		t.Fatal(err)
	}
	if ok, err := it.Run(context.Background(), p.Flow("f")); ok != (err == nil) {
		t.Errorf("ok %v, %v", ok, err)
	}
	return r
}

// TestWaitKeepsBytes: what comes over TCP while a script waits is there for the expectation that follows.
func TestWaitKeepsBytes(t *testing.T) {
	text := func(s string) scenario.Action { return scenario.Action{Expect: &scenario.Expectation{Text: &s}} }
	wait := scenario.Action{Wait: &scenario.Distribution{Kind: "fixed", Value: 50 * time.Millisecond}}
	ask := "?"
	for _, tt := range []struct {
		name     string
		script   []scenario.Action
		messages int64
		outcome  string
	}{
		{"expected behind it", []scenario.Action{wait, text("hel"), wait, text("lo")}, 2, "talk 0"},
		{"sent in between", []scenario.Action{wait, {Send: &scenario.Payload{Text: &ask}}, text("hello")}, 1, "talk 0"},
		{"something else came", []scenario.Action{wait, text("bye")}, 1, "talk 0 check"},
		{"expected by nobody", []scenario.Action{text("h"), wait}, 2, "talk 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := converses(t, func(c net.Conn) { _, _ = c.Write([]byte("hello")) }, tt.script...)
			if got := r.outcomes(); !slices.Equal(got, []string{tt.outcome}) {
				t.Fatalf("%q, want %q", got, tt.outcome)
			}
			if n := r.reports[0].Stream.Messages; n != tt.messages {
				t.Errorf("%d messages, want %d", n, tt.messages)
			}
		})
	}
}
