package scenario

import (
	"testing"
	"time"
)

func TestLongest(t *testing.T) {
	const s = time.Second
	constant := func(d time.Duration) *Distribution { return &Distribution{Kind: "constant", Value: d} }
	for name, tt := range map[string]struct {
		steps []Step
		want  time.Duration
	}{
		"nothing":      {nil, 0},
		"several":      {[]Step{{Timeout: s}, {Timeout: 2 * s}, {Timeout: 3 * s}}, 6 * s},
		"think":        {[]Step{{Timeout: s}, {Think: constant(5 * s)}}, 6 * s},
		"uniform":      {[]Step{{Think: &Distribution{Kind: "uniform", Min: s, Max: 4 * s}}}, 4 * s},
		"exponential":  {[]Step{{Think: &Distribution{Kind: "exponential", Mean: s}}}, 14 * s},
		"normal":       {[]Step{{Think: &Distribution{Kind: "normal", Mean: 10 * s, Stddev: s}}}, 15 * s},
		"lognormal":    {[]Step{{Think: &Distribution{Kind: "lognormal", Median: s}}}, s},
		"far tail":     {[]Step{{Think: &Distribution{Kind: "lognormal", Median: s, Sigma: 10}}}, maxSpan},
		"retries":      {[]Step{{Timeout: 2 * s, Retry: &Retry{Times: 3, Backoff: s}}}, 11 * s},
		"many retries": {[]Step{{Timeout: 2 * s, Retry: &Retry{Times: 1 << 40, Backoff: s}}, {Timeout: s}}, maxSpan},
		"stream":       {[]Step{{Timeout: 2 * s, GRPC: &GRPC{CloseAfter: 9 * s}}}, 9 * s},
		"call":         {[]Step{{Timeout: 2 * s, GRPC: &GRPC{}}}, 2 * s},
		"program":      {[]Step{{Timeout: 2 * s, Program: &Program{KillAfter: 3 * s}}}, 7 * s},
		"tcp":          {[]Step{{Timeout: s, Socket: &Socket{Script: []Action{{Send: &Payload{}}, {Expect: &Expectation{Timeout: 4 * s}}, {Expect: &Expectation{}}}}}}, 7 * s},
		"websocket":    {[]Step{{Timeout: s, WebSocket: &WebSocket{Script: []Action{{Wait: constant(60 * s)}}}}}, 63 * s},
		"endless":      {[]Step{{Timeout: maxSpan, WebSocket: &WebSocket{Script: []Action{{Wait: constant(maxSpan)}}}, Retry: &Retry{Times: 1, Backoff: maxSpan}}}, maxSpan},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (Flow{Steps: tt.steps}).Longest(); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
	p := &Plan{Flows: map[string]Flow{"a": {Steps: []Step{{Timeout: s}}}, "b": {Steps: []Step{{Timeout: 2 * s}}}, "c": {Steps: []Step{{Timeout: 3 * s}}}}}
	if got := p.Longest(&Phase{Mix: []Weight{{Flow: "b"}, {Flow: "a"}}}); got != 2*s {
		t.Errorf("of the mix %v", got)
	}
}
