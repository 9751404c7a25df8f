package flow

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"proofload/internal/load/feed"
	"proofload/internal/load/httpload"
	"proofload/internal/scenario"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wallClock is run time that began when the test did.
type wallClock struct{ zero time.Time }

func (c wallClock) Now() time.Duration { return time.Since(c.zero) }

func (c wallClock) Both() (time.Duration, time.Time) {
	now := time.Now()
	return now.Sub(c.zero), now
}

// record is a Sink that keeps everything.
type record struct {
	began    []time.Duration
	reports  []Report
	gaps     []time.Duration
	replies  []time.Duration
	measures []string
	err      error // of the iteration; what runs it sets it
}

func (r *record) Began(_ string, at time.Duration) { r.began = append(r.began, at) }
func (r *record) Request(report *Report)           { r.reports = append(r.reports, *report) }
func (r *record) Timed(_ *Step, what Timing, took, _ time.Duration) {
	if what == TimingReply {
		r.replies = append(r.replies, took)
		return
	}
	r.gaps = append(r.gaps, took)
}

func (r *record) Measure(s *Step, i int, v float64, _ time.Duration) {
	r.measures = append(r.measures, fmt.Sprintf("%s.%s=%v", s.Name, s.Measures()[i], v))
}

// outcomes is what came of the requests: step, status, kind of error.
func (r *record) outcomes() []string {
	var out []string
	for _, q := range r.reports {
		text := strings.TrimSpace(fmt.Sprintf("%s %d %s", q.Step.Name, q.Status, q.Kind))
		if q.Retried {
			text += " retried"
		}
		if q.Redirected {
			text += " redirected"
		}
		out = append(out, text)
	}
	return out
}

// shop is a server that keeps what it was sent.
type shop struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string // METHOD target body
	last http.Header
}

func newShop(t *testing.T, handler http.HandlerFunc) *shop {
	s := &shop{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.seen, s.last = append(s.seen, strings.TrimSpace(r.Method+" "+r.RequestURI+" "+string(body))), r.Header
		s.mu.Unlock()
		handler(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// newShopRaw is a server whose handler reads the bodies itself.
func newShopRaw(t *testing.T, handler http.HandlerFunc) *shop {
	s := &shop{Server: httptest.NewServer(handler)}
	t.Cleanup(s.Close)
	return s
}

// newShopFor is a server that answers at once with a little JSON.
func newShopFor(t testing.TB) string {
	s := httptest.NewServer(answer(200, `{"a": 1}`))
	t.Cleanup(s.Close)
	return s.URL
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Kind", "shop")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// bench is a flow f against a server, ready to be run.
type bench struct {
	plan    *scenario.Plan
	feeds   map[string]*feed.Set
	secrets map[string]string
	setup   map[string]any
	id      feed.Identity
	address string
	options httpload.Options
	files   func(digest string) ([]byte, error)
	others  []string // names of targets beside the default one
}

func newBench(address string, steps ...scenario.Step) *bench {
	for i := range steps {
		if steps[i].HTTP != nil {
			steps[i].Target, steps[i].Timeout = "default", 10*time.Second
		}
	}
	id := Once(1, "test")
	return &bench{address: address, id: id, plan: &scenario.Plan{Flows: map[string]scenario.Flow{"f": {Steps: steps}}}}
}

func (b *bench) compile(t testing.TB) *Program {
	t.Helper()
	target, err := url.Parse(b.address)
	if err != nil {
		t.Fatal(err)
	}
	b.options.Target = target
	endpoint, err := httpload.NewEndpoint(target)
	if err != nil {
		t.Fatal(err)
	}
	client, err := httpload.NewClient(b.options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	opts := Options{
		Clients: map[string]HTTPClient{"default": client}, Endpoints: map[string]httpload.Endpoint{"default": endpoint},
		Feeds: b.feeds, Secrets: b.secrets, Files: b.files,
	}
	for _, name := range b.others {
		u, err := url.Parse(b.plan.Targets[name].URL)
		if err != nil {
			t.Fatal(err)
		}
		other, err := httpload.NewClient(httpload.Options{Target: u})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = other.Close() })
		if opts.Endpoints[name], err = httpload.NewEndpoint(u); err != nil {
			t.Fatal(err)
		}
		opts.Clients[name] = other
	}
	p, err := Compile(b.plan, opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// run executes the flow once.
func (b *bench) run(t *testing.T, ctx context.Context) (*record, *Iteration, bool, error) {
	t.Helper()
	r := &record{}
	it := &Iteration{ID: b.id, Clock: wallClock{time.Now()}, Sink: r, Setup: b.setup}
	p := b.compile(t)
	if err := it.Prepare(p, p.Flow("f")); err != nil {
		t.Fatal(err)
	}
	ok, err := it.Run(ctx, p.Flow("f"))
	return r, it, ok, err
}

func get(name, path string) scenario.Step {
	return scenario.Step{Name: name, HTTP: &scenario.HTTP{Method: "GET", Path: path}}
}
