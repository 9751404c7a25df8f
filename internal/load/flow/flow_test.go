package flow

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"proofload/internal/load/feed"
	"proofload/internal/load/httpload"
	"proofload/internal/load/transport"
	"proofload/internal/scenario"
)

func TestWholeFlow(t *testing.T) {
	s := newShop(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/login":
			answer(200, `{"token": "t-1", "id": 9007199254740993}`)(w, r)
		case "/cart":
			answer(201, `{"total": 12.5}`)(w, r)
		default:
			answer(404, "")(w, r)
		}
	})
	users, err := feed.New("accounts", scenario.Dataset{CSV: "a.csv", Order: "sequential", OnEnd: "wrap"}, []byte("name\nann\nbob\n"), 1)
	if err != nil {
		t.Fatal(err)
	}
	login, add := get("login", "/login"), get("add", "/cart")
	login.HTTP.Method, login.HTTP.HasJSON = "POST", true
	login.HTTP.JSON = map[string]any{"user": "${data.accounts.name}", "quoted": "a \"${data.accounts.name}\"", "n": 3.0}
	login.Expect = []string{"status == 200", `json.token != ""`, `headers["x-kind"] == "shop"`}
	login.Save = []scenario.Expression{{Name: "token", Source: "json.token"}, {Name: "id", Source: "json.id"}}
	add.HTTP.Method, add.HTTP.HasJSON, add.ImplyStatus = "POST", true, true
	add.HTTP.Headers = []scenario.Field{{Name: "Authorization", Value: "Bearer ${vars.token}"}}
	add.HTTP.Query = []scenario.Field{{Name: "k", Value: "v w"}, {Name: "sku", Value: "${setup.sku}&x"}}
	add.HTTP.JSON = []any{map[string]any{"id": "${vars.id}", "list": []any{nil, true, "$${x}"}}}
	add.Measure = []scenario.Measure{{Name: "orders", Source: "1"}, {Name: "revenue", Source: "json.total"}}
	b := newBench(s.URL+"/", login, scenario.Step{Think: &scenario.Distribution{Kind: "constant", Value: time.Millisecond}}, add)
	b.feeds, b.setup = map[string]*feed.Set{"accounts": users}, map[string]any{"sku": "s 1"}
	b.id.Arrival = 1

	r, it, ok, err := b.run(t, t.Context())
	if !ok || err != nil {
		t.Fatalf("run: %v, %v", ok, err)
	}
	if diff := cmp.Diff([]string{"login 200", "add 201"}, r.outcomes()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{
		`POST /login {"n":3,"quoted":"a \"bob\"","user":"bob"}`,
		`POST /cart?k=v+w&sku=s+1%26x [{"id":9007199254740993,"list":[null,true,"${x}"]}]`,
	}, s.seen); diff != "" {
		t.Errorf("server saw (-want +got):\n%s", diff)
	}
	if s.last.Get("Authorization") != "Bearer t-1" || s.last.Get("Content-Type") != "application/json" {
		t.Errorf("headers: %v", s.last)
	}
	if diff := cmp.Diff([]string{"add.orders=1", "add.revenue=12.5"}, r.measures); diff != "" {
		t.Errorf("measures (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"token": "t-1", "id": 9007199254740993}, it.Saved()); diff != "" {
		t.Errorf("saved (-want +got):\n%s", diff)
	}
	for _, q := range r.reports {
		if !q.Sent || q.BytesIn == 0 || q.BytesOut == 0 || q.Service <= 0 || q.Response < q.Service || q.Ended < q.Response {
			t.Errorf("report of %s: %+v", q.Step.Name, q)
		}
	}
	if r.reports[0].Connect == 0 || r.reports[1].Connect != 0 {
		t.Errorf("connects: %v, %v", r.reports[0].Connect, r.reports[1].Connect)
	}
}

// TestAbsentNeverPasses: reading what is not there fails the step with its kind, whatever the expression makes of it.
func TestAbsentNeverPasses(t *testing.T) {
	s := newShop(t, answer(200, `{"a": 1}`))
	html := newShop(t, answer(200, `<html>`))
	for _, tc := range []struct {
		name string
		url  string
		step func(*scenario.Step)
		want string
		text string
	}{
		{"expect absent", s.URL, func(s *scenario.Step) { s.Expect = []string{`json.b != "x"`} }, "s 200 check", "json.b is absent"},
		{"expect absent negated", s.URL, func(s *scenario.Step) { s.Expect = []string{"!(json.b == 1)"} }, "s 200 check", "json.b is absent"},
		{"expect absent variable", s.URL, func(s *scenario.Step) { s.Expect = []string{"vars.none != 1"} }, "s 200 check", "vars.none is absent"},
		{"expect absent header", s.URL, func(s *scenario.Step) { s.Expect = []string{`headers.none != "1"`} }, "s 200 check", `headers.none is absent`},
		{"expect false", s.URL, func(s *scenario.Step) { s.Expect = []string{"json.a == 2"} }, "s 200 check", "does not hold"},
		{"expect not a condition", s.URL, func(s *scenario.Step) { s.Expect = []string{"json.a"} }, "s 200 check", "true or false is needed"},
		{"second of two", s.URL, func(s *scenario.Step) { s.Expect = []string{"json.a == 1", "json.a == 2"} }, "s 200 check", "json.a == 2"},
		{"save absent", s.URL, func(s *scenario.Step) { s.Save = []scenario.Expression{{Name: "x", Source: "json.b"}} }, "s 200 extract", "save x: json.b is absent"},
		{"measure absent", s.URL, func(s *scenario.Step) { s.Measure = []scenario.Measure{{Name: "x", Source: "json.b"}} }, "s 200 extract", "measure x: json.b is absent"},
		{"measure text", s.URL, func(s *scenario.Step) { s.Measure = []scenario.Measure{{Name: "x", Source: "body"}} }, "s 200 extract", "a number is needed"},
		{"not JSON", html.URL, func(s *scenario.Step) { s.Expect = []string{"!has(json.error)"} }, "s 200 not_json", "not JSON"},
		{"not JSON, though it may be absent", html.URL, func(s *scenario.Step) { s.Expect = []string{"(json.a ?? 1) == 1"} }, "s 200 not_json", "not JSON"},
		{"not JSON, saved", html.URL, func(s *scenario.Step) { s.Save = []scenario.Expression{{Name: "x", Source: "json.a"}} }, "s 200 not_json", "not JSON"},
		{"not XML", html.URL, func(s *scenario.Step) { s.Expect = []string{`xpath("count(//a)") == 0`} }, "s 200 not_xml", "not XML"},
		{"not XML, measured", s.URL, func(s *scenario.Step) { s.Measure = []scenario.Measure{{Name: "x", Source: `xpath("sum(//a)")`}} }, "s 200 not_xml", "not XML"},
		{"regex finds nothing", html.URL, func(s *scenario.Step) {
			s.Save = []scenario.Expression{{Name: "x", Source: `regex(body, "id=([0-9]+)")`}}
		}, "s 200 extract", "nothing matches"},
		{"path absent", s.URL, func(s *scenario.Step) { s.HTTP.Path = "/${vars.none}" }, "s 0 template", "path: vars.none is absent"},
		{"query absent", s.URL, func(s *scenario.Step) { s.HTTP.Query = []scenario.Field{{Name: "q", Value: "${vars.none}"}} }, "s 0 template", "query q: vars.none is absent"},
		{"header absent", s.URL, func(s *scenario.Step) { s.HTTP.Headers = []scenario.Field{{Name: "q", Value: "${vars.none}"}} }, "s 0 template", "header q: vars.none is absent"},
		{"body absent", s.URL, func(s *scenario.Step) { s.HTTP.Body = new("${vars.none}") }, "s 0 template", "body: vars.none is absent"},
		{"json absent", s.URL, func(s *scenario.Step) {
			s.HTTP.JSON, s.HTTP.HasJSON = map[string]any{"a": []any{"${vars.none}"}}, true
		}, "s 0 template", "json: a[0]: vars.none is absent"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			step := get("s", "/")
			step.ImplyStatus = true
			tc.step(&step)
			r, it, ok, err := newBench(tc.url, step, get("after", "/")).run(t, t.Context())
			if ok || err == nil || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("run: %v, %v; want %q", ok, err, tc.text)
			}
			if diff := cmp.Diff([]string{tc.want}, r.outcomes()); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
			if len(r.measures) > 0 || len(it.Saved()) > 0 {
				t.Errorf("a failed step has measured %v and saved %v", r.measures, it.Saved())
			}
		})
	}
}

func TestStatus(t *testing.T) {
	s := newShop(t, answer(503, ""))
	implied, read := get("implied", "/"), get("read", "/")
	implied.ImplyStatus, implied.Continue = true, true
	read.Expect = []string{"status == 503"}
	r, _, ok, err := newBench(s.URL, implied, read).run(t, t.Context())
	if ok || err == nil {
		t.Errorf("run: %v, %v; want the first step's failure", ok, err)
	}
	if diff := cmp.Diff([]string{"implied 503 check", "read 503"}, r.outcomes()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	// A redirect is the result, and not followed.
	moved := newShop(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/else", http.StatusFound) })
	r, _, ok, err = newBench(moved.URL, get("s", "/")).run(t, t.Context())
	if !ok || err != nil || len(moved.seen) != 1 || r.reports[0].Status != 302 {
		t.Errorf("redirect: %v, %v, %v", ok, err, r.outcomes())
	}
}

func TestRetry(t *testing.T) {
	calls := 0
	s := newShop(t, func(w http.ResponseWriter, r *http.Request) {
		if calls++; calls < 3 {
			answer(503, "")(w, r)
			return
		}
		answer(200, `{"a": 1}`)(w, r)
	})
	step := get("s", "/")
	step.ImplyStatus, step.Retry = true, &scenario.Retry{Times: 3, Backoff: time.Millisecond}
	step.Measure = []scenario.Measure{{Name: "a", Source: "json.a"}}
	r, _, ok, err := newBench(s.URL, step).run(t, t.Context())
	if !ok || err != nil {
		t.Errorf("run: %v, %v", ok, err)
	}
	if diff := cmp.Diff([]string{"s 503 check", "s 503 check retried", "s 200 retried"}, r.outcomes()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if len(s.seen) != 3 || len(r.measures) != 1 {
		t.Errorf("the server saw %d requests, measures %v", len(s.seen), r.measures)
	}
	// What cannot be sent is not tried again.
	broken := get("s", "/")
	broken.HTTP.Headers, broken.Retry = []scenario.Field{{Name: "x", Value: "a\r\nb"}}, step.Retry
	r, _, ok, _ = newBench(s.URL, broken).run(t, t.Context())
	if diff := cmp.Diff([]string{"s 0 request"}, r.outcomes()); diff != "" || ok {
		t.Errorf("ok %v, requests (-want +got):\n%s", ok, diff)
	}
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	r, _, ok, err := newBench("http://"+l.Addr().String(), get("s", "/")).run(t, t.Context())
	if ok || err == nil {
		t.Errorf("run: %v, %v", ok, err)
	}
	if diff := cmp.Diff([]string{"s 0 connect"}, r.outcomes()); diff != "" || r.reports[0].Sent || r.reports[0].Generator {
		t.Errorf("%+v (-want +got):\n%s", r.reports, diff)
	}
}

func TestReportUnsent(t *testing.T) {
	for _, tt := range []struct {
		name   string
		report Report
		want   bool
	}{
		{"answered", Report{Sent: true, Status: 200}, false},
		{"refused by the target", Report{Kind: string(transport.KindConnect)}, false},
		{"no name", Report{Kind: string(transport.KindDNS)}, false},
		{"no answer", Report{Sent: true, Kind: string(transport.KindTimeout)}, false},
		{"cut while it was out", Report{Sent: true, Generator: true, Kind: string(transport.KindCancelled)}, false},
		{"cut before", Report{Generator: true, Kind: string(transport.KindCancelled)}, true},
		{"no port", Report{Generator: true, Kind: string(transport.KindNoPorts)}, true},
		{"no template", Report{Kind: KindTemplate}, true},
		{"not HTTP", Report{Kind: string(transport.KindRequest)}, true},
	} {
		if got := tt.report.Unsent(); got != tt.want {
			t.Errorf("%s: unsent %v", tt.name, got)
		}
	}
}

func TestCutByContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the run was stopped")
	s := newShop(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel(cause)
		<-r.Context().Done()
	})
	next := get("next", "/")
	step := get("s", "/")
	step.Continue, step.Retry = true, &scenario.Retry{Times: 5}
	r, _, ok, err := newBench(s.URL, step, next).run(t, ctx)
	if ok || err == nil || len(r.reports) != 1 || !r.reports[0].Generator {
		t.Errorf("run: %v, %v, %+v", ok, err, r.reports)
	}
	think := scenario.Step{Think: &scenario.Distribution{Kind: "constant", Value: time.Hour}}
	if _, _, ok, err = newBench(s.URL, think, next).run(t, ctx); ok || !errors.Is(err, cause) {
		t.Errorf("think: %v, %v; want %v", ok, err, cause)
	}
}

func TestSecretsStayOut(t *testing.T) {
	const value = `hunter2 "ü`
	s := newShop(t, func(w http.ResponseWriter, r *http.Request) { answer(200, r.Header.Get("X-Echo"))(w, r) })
	for name, change := range map[string]func(*scenario.Step){
		"false check":       func(s *scenario.Step) { s.Expect = []string{`body == "hunter2 \"ü"`, "false"} },
		"absent member":     func(s *scenario.Step) { s.Expect = []string{`{"a": 1}[secret.key] == 1`} },
		"number from text":  func(s *scenario.Step) { s.Expect = []string{"int(secret.key) == 1"} },
		"float from text":   func(s *scenario.Step) { s.Expect = []string{"float(secret.key) == 1"} },
		"date from text":    func(s *scenario.Step) { s.Expect = []string{"duration(secret.key) > duration('1s')"} },
		"pattern from text": func(s *scenario.Step) { s.Expect = []string{"body matches ('(' + secret.key)"} },
		"path":              func(s *scenario.Step) { s.HTTP.Path = "no-slash/${secret.key}" },
		"measure":           func(s *scenario.Step) { s.Measure = []scenario.Measure{{Name: "m", Source: "secret.key"}} },
		"header":            func(s *scenario.Step) { s.HTTP.Headers = []scenario.Field{{Name: "a b", Value: "${secret.key}"}} },
		"not JSON":          func(s *scenario.Step) { s.Expect = []string{"fromJSON(secret.key) == 1"} },
	} {
		t.Run(name, func(t *testing.T) {
			step := get("s", "/")
			change(&step)
			b := newBench(s.URL, step)
			b.secrets = map[string]string{"key": value}
			_, _, ok, err := b.run(t, t.Context())
			if ok || err == nil {
				t.Fatalf("run: %v, %v", ok, err)
			}
			for _, part := range []string{"hunter2", "%22%C3"} {
				if strings.Contains(err.Error(), part) && name != "false check" {
					t.Errorf("the error shows the secret: %v", err)
				}
				for cause := err; cause != nil; cause = errors.Unwrap(cause) {
					if strings.Contains(cause.Error(), part) && name != "false check" {
						t.Errorf("a cause shows the secret: %v", cause)
					}
				}
			}
		})
	}
}

func TestDataIsExhaustedBeforeAnythingIsSent(t *testing.T) {
	s := newShop(t, answer(200, ""))
	rows, err := feed.New("rows", scenario.Dataset{CSV: "a.csv", Order: "unique", OnEnd: "stop"}, []byte("c\n1\n2\n"), 1)
	if err != nil {
		t.Fatal(err)
	}
	// The second step reads them, by a key that is not written with a dot.
	step := get("b", "/")
	step.HTTP.Body = new(`${data["rows"].c}`)
	b := newBench(s.URL, get("a", "/"), step)
	b.feeds = map[string]*feed.Set{"rows": rows}
	p := b.compile(t)
	it := &Iteration{ID: b.id, Clock: wallClock{time.Now()}, Sink: &record{}}
	it.ID.Arrival = 2
	if err := it.Prepare(p, p.Flow("f")); !errors.Is(err, feed.ErrExhausted) {
		t.Errorf("got %v, want %v", err, feed.ErrExhausted)
	}
	it.ID.Arrival = 1
	if err := it.Prepare(p, p.Flow("f")); err != nil {
		t.Fatal(err)
	}
	if ok, err := it.Run(t.Context(), p.Flow("f")); !ok || err != nil || s.seen[1] != "GET /" && s.seen[1] != "GET / 2" {
		t.Errorf("run: %v, %v, %v", ok, err, s.seen)
	}
}

func TestTarget(t *testing.T) {
	for in, want := range map[string]string{
		"/a/b?c=d&e=%20": "/a/b?c=d&e=%20",
		"/a b":           "/a%20b",
		"/50%":           "/50%25",
		"/ü#x\n":         "/%C3%BC%23x%0A",
		`/{"a"}`:         "/%7B%22a%22%7D",
	} {
		if got := string(appendTarget(nil, []byte(in))); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
	if got := string(appendParameter([]byte("/a"), "k", []byte("a b&c=ü~"))); got != "/a?k=a+b%26c%3D%C3%BC~" {
		t.Errorf("parameter: %q", got)
	}
}

func TestCompileErrors(t *testing.T) {
	for name, change := range map[string]func(*scenario.Step){
		"path: ${ is not closed": func(s *scenario.Step) { s.HTTP.Path = "/${" },
		"json: a.b: ": func(s *scenario.Step) {
			s.HTTP.HasJSON, s.HTTP.JSON = true, map[string]any{"a": map[string]any{"b": "${1 +}"}}
		},
		"expect ":              func(s *scenario.Step) { s.Expect = []string{"1 +"} },
		"there is no data set": func(s *scenario.Step) { s.HTTP.Path = "/${data.none.x}" },
		"there is no target":   func(s *scenario.Step) { s.Target = "else" },
		"of no kind":           func(s *scenario.Step) { s.HTTP = nil },
	} {
		step := get("s", "/")
		change(&step)
		_, err := Compile(&scenario.Plan{Setup: []scenario.Step{step}}, Options{Clients: map[string]HTTPClient{"": new(httpload.Client)}})
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "flow setup, step 1 s") {
			t.Errorf("got %v, want %q", err, name)
		}
	}
}

// TestParamsAreTypedBySpelling proves that an expression can hold a response against a param that is
// written as a duration, a share, a rate or a number.
func TestParamsAreTypedBySpelling(t *testing.T) {
	step := get("s", "/")
	step.Expect = []string{
		"duration < params.limit", "json.a * params.share == 0.25", "params.rate == 0.5", "json.a == params.number", `params.label == "one"`,
	}
	b := newBench(newShopFor(t), step)
	b.plan.Params = map[string]any{"limit": "1m", "share": "25%", "rate": "30/m", "number": 1.0, "label": "one"}
	r, _, ok, err := b.run(t, t.Context())
	if err != nil || !ok {
		t.Errorf("the iteration failed: %v, %v", err, r.outcomes())
	}
}
