package flow

import (
	"testing"

	"proofload/internal/load/transport"
	"proofload/internal/scenario"
)

// TestPlain: only what is one request, made of little, and of whose answer nothing is read but what stands in its head, is
// executed by halves.
func TestPlain(t *testing.T) {
	o, err := transport.NewCollector()
	if err != nil {
		t.Skip("nothing is collected on this system: ", err)
	}
	defer func() { _ = o.Close() }()
	with := func(change func(*scenario.Step)) scenario.Step {
		s := get("s", "/")
		change(&s)
		return s
	}
	target := func(change func(*scenario.Target)) func(*bench) {
		return func(b *bench) {
			var one scenario.Target
			change(&one)
			b.plan.Targets = map[string]scenario.Target{scenario.DefaultTarget: one}
		}
	}
	think := scenario.Step{Think: &scenario.Distribution{Kind: "constant"}}
	for _, tt := range []struct {
		name   string
		steps  []scenario.Step
		change func(*bench)
		plain  bool
	}{
		{"one request", []scenario.Step{get("s", "/")}, nil, true},
		{"a path that is put in", []scenario.Step{get("s", "/${vars.none ?? 'x'}")}, nil, true},
		{"a fixed body", []scenario.Step{with(func(s *scenario.Step) { s.HTTP.Method, s.HTTP.Body = "POST", new("x") })}, nil, true},
		{"a check of the status", []scenario.Step{with(func(s *scenario.Step) { s.Expect = []string{"status == 200"} })}, nil, true},
		{"two requests", []scenario.Step{get("a", "/"), get("b", "/")}, nil, false},
		{"a think time", []scenario.Step{get("s", "/"), think}, nil, false},
		{"nothing but a think time", []scenario.Step{think}, nil, false},
		{"a body that is put in", []scenario.Step{with(func(s *scenario.Step) { s.HTTP.Method, s.HTTP.Body = "POST", new("${vars.none ?? 'x'}") })}, nil, false},
		{"a check of the body", []scenario.Step{with(func(s *scenario.Step) { s.Expect = []string{"json.a == 1"} })}, nil, false},
		{"a retry", []scenario.Step{with(func(s *scenario.Step) { s.Retry = &scenario.Retry{Times: 1} })}, nil, false},
		{"redirects", []scenario.Step{get("s", "/")}, target(func(one *scenario.Target) { one.Redirects = 3 }), false},
		{"cookies", []scenario.Step{get("s", "/")}, target(func(one *scenario.Target) { one.Cookies = true }), false},
		{"traces", []scenario.Step{get("s", "/")}, target(func(one *scenario.Target) { one.Trace = 0.5 }), false},
		{"compression", []scenario.Step{get("s", "/")}, target(func(one *scenario.Target) { one.Compression = "gzip" }), false},
		{"a connection for each request", []scenario.Step{get("s", "/")}, func(b *bench) { b.options.Fresh = true }, false},
		{"TLS", []scenario.Step{get("s", "/")}, func(b *bench) { b.address = "https://127.0.0.1:1" }, false},
		{"connections of the user's own", []scenario.Step{get("s", "/")}, target(func(one *scenario.Target) {
			one.Connections = &scenario.Connections{Reuse: scenario.ReuseUser}
		}), false},
	} {
		b := newBench("http://127.0.0.1:1", tt.steps...)
		if tt.change != nil {
			tt.change(b)
		}
		b.options.Collector = o
		step := b.compile(t).Flow("f").Plain()
		if (step != "") != tt.plain {
			t.Errorf("%s: plain step %q", tt.name, step)
		}
	}
}
