package scenario

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// small is a whole scenario that the rows below change in one place.
const small = `version: 1
name: small
target: mock://shop
mocks:
  shop:
    routes:
      - latency: 5ms
flows:
  buy:
    - step: order
      http: {method: POST, path: /orders}
phases:
  - name: steady
    flow: buy
    rate:
      - hold: {at: 5/s, for: 10s}
criteria:
  - check: p99(response_time) < 250ms
`

// What the schema and the decoder both refuse.
func TestSchemaAndDecoderRefuse(t *testing.T) {
	schema := testValidator(t)
	for _, tc := range []struct{ name, old, with string }{
		{"unknown key at the top", "name: small", "name: small\nseeed: 1"},
		{"unknown key in a step", "step: order", "step: order\n      tmeout: 1s"},
		{"unknown key in a mock", "latency: 5ms", "latncy: 5ms"},
		{"no version", "version: 1\n", ""},
		{"another version", "version: 1", "version: 2"},
		{"no name", "name: small\n", ""},
		{"empty name", "name: small", "name: ''"},
		{"null", "name: small", "name:"},
		{"no target", "target: mock://shop\n", ""},
		{"target and targets", "target: mock://shop", "target: mock://shop\ntargets: {a: mock://shop}"},
		{"empty targets", "target: mock://shop", "targets: {}"},
		{"no flow", "    flow: buy\n", ""},
		{"flow and mix", "flow: buy", "flow: buy\n    mix: {buy: 1}"},
		{"empty mix", "flow: buy", "mix: {}"},
		{"weight 0", "flow: buy", "mix: {buy: 0}"},
		{"rate and users", "    rate:", "    users: [{hold: {at: 5, for: 1s}}]\n    rate:"},
		{"neither rate nor users", "    rate:\n      - hold: {at: 5/s, for: 10s}\n", ""},
		{"two starts", "flow: buy", "flow: buy\n    at: 1s\n    with: steady"},
		{"pace of arrivals", "flow: buy", "flow: buy\n    pace: 1s"},
		{"empty phases", "phases:", "phases: []\nteardown:"},
		{"a segment of two keys", "- hold: {at: 5/s, for: 10s}", "- {hold: {at: 5/s, for: 10s}, ramp: {from: 5/s, to: 6/s, for: 1s}}"},
		{"an empty segment", "- hold: {at: 5/s, for: 10s}", "- {}"},
		{"a segment without its length", "at: 5/s, for: 10s", "at: 5/s"},
		{"a segment of no length", "for: 10s", "for: 0s"},
		{"a rate without a unit", "at: 5/s", "at: 5"},
		{"a rate per day", "at: 5/s", "at: 5/d"},
		{"a negative rate", "at: 5/s", "at: -0/s"},
		{"users with a fraction", "rate:\n      - hold: {at: 5/s", "users:\n      - hold: {at: 5.5"},
		{"a duration without a unit", "for: 10s", "for: 10"},
		{"a duration in days", "for: 10s", "for: 1d"},
		{"a negative duration", "latency: 5ms", "latency: -5ms"},
		{"a share without a unit", "name: small", "name: small\nload: 0.8"},
		{"a share with an exponent", "name: small", "name: small\nload: 1e1%"},
		{"more than all", "name: small", "name: small\nvalidity: {sent: 101%}"},
		{"a number for a map", "http: {method: POST, path: /orders}", "http: 5"},
		{"a map for a list", "    - step: order\n      http:", "      step: order\n      http:"},
		{"a list for a map", "mocks:\n  shop:", "mocks:\n  -"},
		{"a word for a flag", "name: small", "name: small\nenvironments: {a: {confirm: maybe}}"},
		{"a text for a number", "latency: 5ms", "status: '200'"},
		{"a status beyond all", "latency: 5ms", "status: 600"},
		{"a misspelt word", "flow: buy", "flow: buy\n    arrivals: unifrom"},
		{"a misspelt severity", "- check", "- severity: critcal\n    check"},
		{"met without window", "- check", "- met: 99%\n    check"},
		{"no check", "check: p99(response_time) < 250ms", "name: a"},
		{"a check with p999", "p99(", "p999("},
		{"a check with one =", "< 250ms", "= 250ms"},
		{"a check of time without a unit", "250ms", "250"},
		{"a check of time with a share", "250ms", "10%"},
		{"a check of a ratio without a unit", "p99(response_time) < 250ms", "error_ratio(requests) < 0.01"},
		{"a check of a size with a duration", "p99(response_time)", "max(bytes_in)"},
		{"a mean of requests", "p99(response_time)", "mean(requests)"},
		{"a trend without a period", "p99(", "trend("},
		{"a check against the baseline", "< 250ms", "< baseline + 10%"},
		{"a check of what is not built", "response_time", "recovery_time"},
		{"an empty expression", "http:", "expect: ['']\n      http:"},
		{"two distributions", "latency: 5ms", "latency: {constant: 5ms, exponential: {mean: 5ms}}"},
		{"an empty distribution", "latency: 5ms", "latency: {}"},
		{"half a distribution", "latency: 5ms", "latency: {lognormal: {median: 5ms}}"},
		{"a step of two kinds", "http:", "think: 1s\n      http:"},
		{"a step of no kind", "      http: {method: POST, path: /orders}\n", ""},
		{"a request without a name", "- step: order\n      http:", "- http:"},
		{"a think step that expects", "http: {method: POST, path: /orders}", "think: 1s\n      expect: ['true']"},
		{"a path of a conversation without a slash", "http: {method: POST, path: /orders}", "websocket: {path: talk}"},
		{"a conversation without a path", "http: {method: POST, path: /orders}", "websocket: {script: []}"},
		{"an action of two kinds", "http: {method: POST, path: /orders}", "websocket: {path: /, script: [{send: a, wait: 1s}]}"},
		{"an action of no kind", "http: {method: POST, path: /orders}", "websocket: {path: /, script: [{}]}"},
		{"a timeout of what is sent", "http: {method: POST, path: /orders}", "websocket: {path: /, script: [{send: a, timeout: 1s}]}"},
		{"a message in two forms", "http: {method: POST, path: /orders}", "websocket: {path: /, script: [{send: {text: a, hex: '00'}}]}"},
		{"a message in no form", "http: {method: POST, path: /orders}", "websocket: {path: /, script: [{expect: {}}]}"},
		{"a close code beyond all", "http: {method: POST, path: /orders}", "websocket: {path: /, close: {code: 5000}}"},
		{"a subprotocol with a space", "http: {method: POST, path: /orders}", "websocket: {path: /, subprotocols: ['a b']}"},
		{"json and body", "path: /orders", "path: /orders, json: {}, body: a"},
		{"a path without a slash", "path: /orders", "path: orders"},
		{"a method with a digit", "method: POST", "method: P0ST"},
		{"a header with a space", "path: /orders", "path: /orders, headers: {'a b': c}"},
		{"an upper-case save", "http:", "save: {Token: json.a}\n      http:"},
		{"an upper-case param", "name: small", "name: small\nparams: {Peak: 1}"},
		{"a list as param", "name: small", "name: small\nparams: {peak: [1]}"},
		{"a phase with a space", "name: steady", "name: at night"},
		{"a data set of nothing", "name: small", "name: small\ndata: {a: {per: user}}"},
		{"generated data with an order", "name: small", "name: small\ndata: {a: {fake: {a: name}, order: random}}"},
		{"too many attempts", "http:", "retry: {times: 101}\n      http:"},
		{"environments of nothing", "name: small", "name: small\nenvironments: {}"},
		{"an environment of nothing", "name: small", "name: small\nenvironments: {a: }"},
		{"an environment with a version", "name: small", "name: small\nenvironments: {a: {version: 1}}"},
		{"an unknown key in an environment", "name: small", "name: small\nenvironments: {a: {phases: [{name: steady, lte: 1s}]}}"},
		{"half a segment in an environment", "name: small", "name: small\nenvironments: {a: {phases: [{name: steady, rate: [{hold: {at: 1/s}}]}]}}"},
		{"what every environment replaces", "name: small", "name: small\nload: much\nenvironments: {a: {load: 10%}}"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := strings.Replace(small, tc.old, tc.with, 1)
			if text == small {
				t.Fatalf("%q is not there", tc.old)
			}
			s, d := judge(t, schema, text)
			if s == nil || d == nil {
				t.Errorf("schema: %v\ndecoder: %v\n%s", s, d, text)
			}
		})
	}
	if s, d := judge(t, schema, small); s != nil || d != nil {
		t.Errorf("what the rows change is refused itself: %v, %v", s, d)
	}
}

// What only the decoder can know: the schema accepts it. The list is whole as far as anybody knows;
// what is missing in it is a row of the test above.
func TestOnlyTheDecoderKnows(t *testing.T) {
	schema := testValidator(t)
	for _, tc := range []struct{ name, old, with string }{
		{"a flow that does not exist", "flow: buy", "flow: by"},
		{"a phase that does not exist", "flow: buy", "flow: buy\n    after: warmup"},
		{"phases that wait for each other", "flow: buy", "flow: buy\n    after: steady"},
		{"a mock that does not exist", "target: mock", "target: mock://no\nlabels: {a: b}\ndescription: mock"},
		{"a target that does not exist", "step: order", "step: order\n      target: shop"},
		{"a scheme that is not built", "target: mock", "target: grpcs"},
		{"a step that the target does not speak", "http: {method: POST, path: /orders}", "websocket: {path: /}"},
		{"bytes that are none", "http: {method: POST, path: /orders}", "websocket: {path: /, script: [{send: {hex: 0}}]}"},
		{"a close code that no frame carries", "http: {method: POST, path: /orders}", "websocket: {path: /, close: {code: 1005}}"},
		{"a host that is not allowed", "target: mock", "target: http"},
		{"a file that does not exist", "name: small", "name: small\ndata: {a: {csv: no.csv}}"},
		{"the same name twice", "phases:\n", "phases:\n  - {name: steady, flow: buy, rate: [{hold: {at: 1/s, for: 1s}}]}\n"},
		{"an expression that does not compile", "http:", "expect: ['status =']\n      http:"},
		{"a template that does not compile", "path: /orders", "path: '/${'"},
		{"a param that does not exist", "at: 5/s", "at: '${params.peak}'"},
		{"a param of another kind", "name: small", "name: small\nparams: {peak: 5s}\nload: '${params.peak}'"},
		{"what exists only during an iteration", "at: 5/s", "at: '${vars.peak}'"},
		{"a metric that does not exist", "response_time", "orders"},
		{"a measure compared with the wrong unit", "http:", "measure: {a: 1, response_time: 2}\n      http:"},
		{"a label that is misspelt", "response_time", "response_time{stp=\"a\"}"},
		{"a regular expression that is none", "response_time", "response_time{step=~\"(\"}"},
		{"a quotient of two units", "p99(response_time)", "max(response_time) / max(bytes_in)"},
		{"a percentile of nothing", "p99(", "p0("},
		{"a metric that is not built, on the right", "p99(response_time)", "max(response_time) / max(recovery_time)"},
		{"during a fault", "- check", "- during: fault:slow\n    check"},
		{"a breach that is no multiple of the window", "- check", "- {name: a, check: max(response_time) < 1s, window: 2s, for: 3s}\n  - check"},
		{"a window of half a second", "- check", "- window: 1500ms\n    check"},
		{"an abort without a window", "- check", "- on_breach: abort\n    check"},
		{"random rows that stop", "name: small", "name: small\ndata: {accounts: {csv: accounts.csv, order: random, on_end: stop}}"},
		{"unique rows that wrap", "name: small", "name: small\ndata: {accounts: {csv: accounts.csv, order: unique, on_end: wrap}}"},
		{"a minimum above the maximum", "latency: 5ms", "latency: {uniform: {min: 2s, max: 1s}}"},
		{"a grace that is too short", "name: small", "name: small\ncoordinator_loss: {grace: 1s}"},
		{"a load above the limit", "name: small", "name: small\nlimits: {rate: 1/s}"},
		{"a rate beyond all", "at: 5/s", "at: 1000000000/s"},
		{"a duration beyond all", "for: 10s", "for: 1000000h"},
		{"a duration below a nanosecond", "for: 10s", "for: 0.1ns"},
		{"a seed beyond all", "name: small", "name: small\nseed: 99999999999999999999"},
		{"confirm without an environment", "name: small", "name: small\nconfirm: true"},
		{"what no environment completes", "    flow: buy\n    rate:\n      - hold: {at: 5/s, for: 10s}\n", "environments: {a: {load: 10%}}\n"},
		{"what an environment adds incompletely", "name: small", "name: small\nenvironments: {a: {phases: [{name: more}]}}"},
		{"a union that an environment makes of two keys", "name: small", "name: small\nenvironments: {a: {phases: [{name: steady, mix: {buy: 1}}]}}"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := strings.Replace(small, tc.old, tc.with, 1)
			if text == small {
				t.Fatalf("%q is not there", tc.old)
			}
			s, d := judge(t, schema, text)
			if s != nil || d == nil {
				t.Errorf("schema: %v\ndecoder: %v\n%s", s, d, text)
			}
		})
	}
}

// Every feature that is not built yet is refused by both, wherever it stands.
func TestSchemaAndDecoderRefuseWhatIsNotBuilt(t *testing.T) {
	schema := testValidator(t)
	full := parsed(t, testFile(t, "testdata/full.yaml"))
	tried := map[keyOfType]bool{}
	for i, p := range placesOf(full) {
		for f := range p.typ.Fields() {
			if f.Type != reflect.TypeFor[Later]() {
				continue
			}
			tried[keyOfType{p.typ.Name(), keyOf(f)}] = true
			fresh := placesOf(full)
			fresh[i].value[keyOf(f)] = map[string]any{}
			s, d := judge(t, schema, encode(t, fresh[0].value))
			if s == nil || d == nil || !strings.Contains(d.Error(), keyOf(f)+" is not supported yet") {
				t.Errorf("%s in %s: schema: %v\ndecoder: %v", keyOf(f), p.typ.Name(), s, d)
			}
		}
	}
	for k, built := range languageKeys() {
		if !built && !tried[k] {
			t.Errorf("%s of %s was not tried", k.key, k.typ)
		}
	}
}

// The whole language, as it is designed: without what is not built yet, both accept it.
func TestTheWholeLanguage(t *testing.T) {
	schema := testValidator(t)
	all := places(t, testFile(t, "testdata/language.yaml"))
	text := encode(t, all[0].value)
	if s, d := judge(t, schema, text); s == nil || d == nil {
		t.Fatalf("schema: %v\ndecoder: %v", s, d)
	}
	for _, p := range all {
		for f := range p.typ.Fields() {
			if f.Type == reflect.TypeFor[Later]() {
				delete(p.value, keyOf(f))
			}
		}
	}
	root := all[0].value
	delete(root["flows"].(map[string]any), "features") // its only step is grpc
	steady := root["phases"].([]any)[1].(map[string]any)
	isEmpty := func(v any) bool { return len(v.(map[string]any)) == 0 }
	steady["rate"] = slices.DeleteFunc(steady["rate"].([]any), isEmpty)
	root["criteria"] = slices.DeleteFunc(root["criteria"].([]any), func(v any) bool {
		c := encode(t, v)
		return strings.Contains(c, "fault:") || strings.Contains(c, "recovery_time") || strings.Contains(c, "baseline") || strings.Contains(c, "db_cpu")
	})
	text = encode(t, root)
	if err := schema.Validate(instance(t, text)); err != nil {
		t.Errorf("schema: %v", err)
	}
	files := testFiles(text)
	files["accounts.csv"].Data = []byte("name\n" + strings.Repeat("x\n", 1000000)) // unique rows
	err := Validate(files, "s.yaml", Options{Getenv: func(string) (string, bool) { return "abc", true }})
	if err != nil {
		t.Errorf("decoder: %v", err)
	}
}
