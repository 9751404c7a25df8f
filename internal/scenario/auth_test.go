package scenario

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// withTarget is a scenario whose target is a map with these keys beside its url.
func withTarget(keys string) fstest.MapFS {
	text := strings.Replace(small, "target: mock://shop", "target: {url: mock://shop, "+keys+"}\nparams: {name: ann}\ndata: {p: {csv: people.csv, order: unique}}", 1)
	rows := "name,password\n" + strings.Repeat("ann,x\n", 60)
	return fstest.MapFS{"s.yaml": {Data: []byte(text)}, "people.csv": {Data: []byte(rows)}}
}

// TestWhatATargetAsks: the plan has it, without the value of any secret.
func TestWhatATargetAsks(t *testing.T) {
	for keys, want := range map[string]Target{
		"auth: {basic: {user: '${params.name}', password: '${secret.KEY}'}}": {Auth: &Auth{Basic: &BasicAuth{User: "ann", Password: "${secret.KEY}"}}},
		"auth: {bearer: '${secret.KEY}'}":                                    {Auth: &Auth{Bearer: "${secret.KEY}"}},
		"auth: {aws: {region: r, service: s3, access_key: a, secret_key: '${secret.KEY}'}}": {
			Auth: &Auth{AWS: &AWSAuth{Region: "r", Service: "s3", AccessKey: "a", SecretKey: "${secret.KEY}"}},
		},
		"cookies: true, redirects: 3":                {Cookies: true, Redirects: 3},
		"compression: zstd, trace: {sample: 0.5%}":   {Compression: "zstd", Trace: 0.005},
		"cookies: false, redirects: 0":               {},
		"compression: none, trace: {sample: 0%}":     {},
		"trace: {sample: 100%}, compression: 'gzip'": {Trace: 1, Compression: "gzip"},
	} {
		plan, err := Load(withTarget(keys), "s.yaml", Options{})
		if err != nil {
			t.Errorf("%s: %v", keys, err)
			continue
		}
		want.Mock = "shop"
		if diff := cmp.Diff(want, plan.Targets[DefaultTarget]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", keys, diff)
		}
		if uses := strings.Contains(keys, "secret.KEY"); uses != (len(plan.Secrets) == 1) {
			t.Errorf("%s: secrets of the plan: %v", keys, plan.Secrets)
		}
		data, err := plan.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := DecodePlan(data); err != nil || cmp.Diff(plan.Targets, again.Targets) != "" {
			t.Errorf("%s: decoded %v, %v", keys, again.Targets, err)
		}
		var b strings.Builder
		if err := plan.Render(&b, RenderOptions{Workers: 1}); err != nil {
			t.Error(err)
		}
	}
}

// TestRowsOfAuth: rows that only the authorization of a target reads are dealt like those of its steps.
func TestRowsOfAuth(t *testing.T) {
	plan, err := Load(withTarget("auth: {bearer: '${data.p.password}'}"), "s.yaml", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := plan.Phases[0].Deals["p"]; got.Rows != 50 {
		t.Errorf("the phase is dealt %+v, its 50 arrivals need a row each", got)
	}
	fsys := withTarget("auth: {bearer: '${data.p.password}'}")
	fsys["people.csv"] = &fstest.MapFile{Data: []byte("name,password\nann,x\n")}
	if _, err := Load(fsys, "s.yaml", Options{}); err == nil || !strings.Contains(err.Error(), "the phases draw 50 of them") {
		t.Errorf("too few rows: %v", err)
	}
}

// TestTraceByProtocol: what has headers or metadata can carry the id of a trace, bytes cannot.
func TestTraceByProtocol(t *testing.T) {
	for url, step := range map[string]string{
		"grpc://a.test:1":  `grpc: {method: a.B/C}`,
		"grpcs://a.test:1": `grpc: {method: a.B/C}`,
		"ws://a.test:1":    `websocket: {path: /}`,
		"wss://a.test:1":   `websocket: {path: /}`,
		"tcp://a.test:1":   `tcp: {script: [{send: a}]}`,
		"udp://a.test:1":   `udp: {script: [{send: a}]}`,
	} {
		text := fmt.Sprintf("version: 1\nname: n\nallow_targets: [a.test]\ntargets: {default: {url: '%s', trace: {sample: 10%%}}}\nflows: {f: [{step: s, %s}]}\n"+
			"phases: [{name: p, flow: f, rate: [{hold: {at: 1/s, for: 1s}}]}]\n", url, step)
		plan, err := Load(fstest.MapFS{"s.yaml": {Data: []byte(text)}}, "s.yaml", Options{})
		if refused := strings.HasPrefix(step, "tcp") || strings.HasPrefix(step, "udp"); refused {
			if err == nil || !strings.Contains(err.Error(), "trace is for targets with") {
				t.Errorf("%s: %v", url, err)
			}
			continue
		}
		if err != nil || plan.Targets[DefaultTarget].Trace != 0.1 {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestWhatATargetCannotAsk(t *testing.T) {
	for keys, want := range map[string]string{
		"auth: {}": "basic or bearer or aws is missing",
		"auth: {bearer: a, basic: {user: a, password: b}}":    "exclude each other",
		"auth: {basic: {user: a}}":                            "password is missing",
		"auth: {bearer: '${vars.token}'}":                     "vars cannot be read here",
		"auth: {bearer: '${user.id}'}":                        "user cannot be read here",
		"auth: {bearer: '${data.p.passwrd}'}":                 `data.p.passwrd does not exist; did you mean "password"?`,
		"auth: {aws: {region: r, service: s, access_key: a}}": "secret_key is missing",
		"redirects: 21":                                       "redirects is above 20",
		"compression: br":                                     `"br" is not one of none, gzip, zstd`,
		"trace: {sample: 101%}":                               "sample is above 100%",
		"trace: 1%":                                           "where a map with sample was expected",
		"cookies: maybe":                                      "neither true nor false",
	} {
		if _, err := Load(withTarget(keys), "s.yaml", Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", keys, err, want)
		}
	}
}
