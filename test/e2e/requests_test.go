package e2e

import (
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"proofload/internal/load/feed"
	"proofload/internal/load/flow"
	"proofload/internal/load/httpload"
	language "proofload/internal/scenario"
)

// requests is a scenario of everything that a request can carry and that can be read of an answer, in the words
// of the language. Each expectation is about what go-httpbin says it has received.
const requests = `version: 1
name: requests
seed: 1
targets:
  plain: TARGET
  browser:
    url: TARGET
    cookies: true
    redirects: 10
    compression: gzip
    trace: {sample: 100%}
  basic: {url: TARGET, auth: {basic: {user: ann, password: '${secret.PASSWORD}'}}}
  bearer: {url: TARGET, auth: {bearer: '${secret.PASSWORD}'}}
data:
  people: {jsonl: people.jsonl}
flows:
  all:
    - step: form
      target: plain
      http: {method: POST, path: /post, form: {name: '${data.people.name}', 'a b': 'c&d=e'}}
      expect:
        - json.form.name[0] == "ann \"x\" & co"
        - json.form["a b"][0] == "c&d=e"
    - step: multipart
      target: plain
      http:
        method: POST
        path: /post
        multipart:
          - {name: title, value: '${data.people.name}'}
          - {name: letter, file: {path: letter.txt, template: true}, type: text/plain}
      expect:
        - json.form.title[0] == "ann \"x\" & co"
        - json.files.letter[0] == "dear ann \"x\" & co, 7"
    - step: file
      target: plain
      http: {method: PUT, path: /put, file: letter.txt, headers: {content-type: text/plain}}
      expect:
        - json.data startsWith "dear ${data"
    - step: packed
      target: plain
      http: {method: POST, path: /post, body: 'hello', compress: gzip, headers: {content-type: application/octet-stream}}
      expect:
        - json.headers["Content-Encoding"][0] == "gzip"
        - json.data startsWith "data:application/octet-stream;base64,H4sI"
    - step: xml
      target: plain
      http: {method: GET, path: /xml}
      expect:
        - xpath("count(//slide)") == 2
        - xpathAll("//slide/title")[0] == "Wake up to WonderWidgets!"
        - headers["content-type"] startsWith "application/xml"
        - size > 100
      save:
        author: xpath("/slideshow/@author")
    - step: html
      target: plain
      http: {method: GET, path: /html}
      save:
        title: regex(body, "<h1>([^<]+)</h1>")
    - step: saved
      target: plain
      http: {method: GET, path: /get, query: {author: '${vars.author}', title: '${vars.title}'}}
      expect:
        - json.args.author[0] == "Yours Truly"
        - json.args.title[0] == "Herman Melville - Moby-Dick"
    - step: redirects
      target: browser
      http: {method: GET, path: /redirect/5}
      expect:
        - json.url endsWith "/get"
    - step: cookies
      target: browser
      http: {method: GET, path: /cookies/set, query: {sid: s-1}}
      expect:
        - json.cookies.sid == "s-1"
    - step: still-there
      target: browser
      http: {method: GET, path: /cookies}
      expect:
        - json.cookies.sid == "s-1"
    - step: gzip
      target: browser
      http: {method: GET, path: /gzip}
      expect:
        - json.gzipped
        - headers["content-encoding"] == "gzip"
    - step: trace
      target: browser
      http: {method: GET, path: /headers}
      expect:
        - json.headers["Traceparent"][0] matches "^00-[0-9a-f]{32}-[0-9a-f]{16}-01$"
    - step: basic
      target: basic
      http: {method: GET, path: '/basic-auth/ann/${secret.PASSWORD}'}
      expect:
        - json.authorized
    - step: bearer
      target: bearer
      http: {method: GET, path: /bearer}
      expect:
        - json.authenticated
phases:
  - name: p
    flow: all
    rate:
      - hold: {at: 1/s, for: 1s}
`

// kinds keeps what came of each request.
type kinds struct {
	t     *testing.T
	sent  int64
	trace int
}

func (*kinds) Began(string, time.Duration)                     {}
func (*kinds) Measure(*flow.Step, int, float64, time.Duration) {}

func (*kinds) Timed(*flow.Step, flow.Timing, time.Duration, time.Duration) {}

func (k *kinds) Request(q *flow.Report) {
	if q.Sent {
		k.sent++
	}
	if q.Trace != "" {
		k.trace++
	}
	if q.Kind != "" {
		k.t.Errorf("step %s: status %d, error %s", q.Step.Name, q.Status, q.Kind)
	}
}

// zero is a clock that begins with the test.
type zero struct{ at time.Time }

func (z zero) Now() time.Duration { return time.Since(z.at) }

func (z zero) Both() (time.Duration, time.Time) {
	now := time.Now()
	return now.Sub(z.at), now
}

// TestRequestsAgainstHTTPBin: an independent server has received what the scenario says, and what it answers is
// read as it says.
func TestRequestsAgainstHTTPBin(t *testing.T) {
	b := startBin(t, false)
	files := fstest.MapFS{
		"s.yaml":       {Data: []byte(strings.ReplaceAll(requests, "TARGET", b.server.URL))},
		"people.jsonl": {Data: []byte(`{"name": "ann \"x\" & co", "age": 7}`)},
		"letter.txt":   {Data: []byte("dear ${data.people.name}, ${data.people.age}")},
	}
	plan, err := language.Load(files, "s.yaml", language.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := compiled(t, plan, files, map[string]string{"PASSWORD": "hunter2"})
	sink := &kinds{t: t}
	it := &flow.Iteration{ID: flow.Once(plan.Seed, "test"), Clock: zero{time.Now()}, Sink: sink}
	if err := it.Prepare(p, p.Flow("all")); err != nil {
		t.Fatal(err)
	}
	if ok, err := it.Run(t.Context(), p.Flow("all")); !ok || err != nil {
		t.Errorf("run: %v, %v", ok, err)
	}
	if got := b.received.Load(); got != sink.sent || got != 14+5+1 {
		t.Errorf("the server has received %d requests, %d were sent, want 14 and 6 to which redirects led", got, sink.sent)
	}
	if sink.trace != 6+2+1+1+1 {
		t.Errorf("%d requests carried a trace", sink.trace)
	}
}

// compiled compiles a plan with clients of its targets.
func compiled(t *testing.T, plan *language.Plan, files fstest.MapFS, secrets map[string]string) *flow.Program {
	t.Helper()
	content := map[string][]byte{}
	for _, f := range plan.Files() {
		content[f.Digest] = files[f.Name].Data
	}
	opts := flow.Options{
		Clients: map[string]flow.HTTPClient{}, Endpoints: map[string]httpload.Endpoint{}, Feeds: map[string]*feed.Set{}, Secrets: secrets,
		Files: func(digest string) ([]byte, error) { return content[digest], nil },
	}
	for name, target := range plan.Targets {
		u, err := url.Parse(target.URL)
		if err != nil {
			t.Fatal(err)
		}
		c, err := httpload.NewClient(httpload.Options{Target: u})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		opts.Clients[name] = c
		if opts.Endpoints[name], err = httpload.NewEndpoint(u); err != nil {
			t.Fatal(err)
		}
	}
	for name, d := range plan.Data {
		var err error
		if opts.Feeds[name], err = feed.New(name, d, content[d.Digest], plan.Seed); err != nil {
			t.Fatal(err)
		}
	}
	p, err := flow.Compile(plan, opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
