package flow

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"proofload/internal/load/httpload"
	"proofload/internal/load/httpload/sigv4"
	"proofload/internal/scenario"
)

// towards gives the plan of a bench its target.
func (b *bench) towards(t scenario.Target) *bench {
	t.URL = b.address
	b.plan.Targets = map[string]scenario.Target{"default": t}
	return b
}

// beside adds another target, which the given server is.
func (b *bench) beside(t *testing.T, name, address string, target scenario.Target) {
	t.Helper()
	target.URL = address
	b.plan.Targets[name] = target
	b.others = append(b.others, name)
}

// TestAuth: what a server of net/http understands of the authorization, and that a step's own comes first.
func TestAuth(t *testing.T) {
	type seen struct{ User, Password, Bearer string }
	var got []seen
	s := newShop(t, func(_ http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if user != "" {
			token = ""
		}
		got = append(got, seen{user, password, token})
	})
	own := get("own", "/")
	own.HTTP.Headers = []scenario.Field{{Name: "authorization", Value: "Bearer own"}}
	for _, auth := range []*scenario.Auth{
		{Basic: &scenario.BasicAuth{User: "ann", Password: "${secret.PASSWORD}"}},
		{Bearer: "${secret.PASSWORD}"},
	} {
		b := newBench(s.URL, get("s", "/"), own).towards(scenario.Target{Auth: auth})
		b.secrets = map[string]string{"PASSWORD": "p:w d"}
		if _, _, ok, err := b.run(t, t.Context()); !ok || err != nil {
			t.Fatal(err)
		}
	}
	want := []seen{{User: "ann", Password: "p:w d"}, {Bearer: "own"}, {Bearer: "p:w d"}, {Bearer: "own"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the server has understood (-want +got):\n%s", diff)
	}
}

// TestAuthFails: what cannot be authorized is not sent, and no error has the value of a secret.
func TestAuthFails(t *testing.T) {
	s := newShop(t, answer(200, ""))
	for _, tc := range []struct {
		auth *scenario.Auth
		want string
	}{
		{&scenario.Auth{Bearer: "${secret.NONE}"}, "s 0 template"},
		{&scenario.Auth{Basic: &scenario.BasicAuth{User: "a:${secret.KEY}", Password: "x"}}, "s 0 template"},
		{&scenario.Auth{Bearer: "${secret.KEY}\n"}, "s 0 request"},
		{&scenario.Auth{AWS: &scenario.AWSAuth{Region: "r", Service: "s", AccessKey: "a", SecretKey: "${secret.NONE}"}}, "s 0 template"},
	} {
		b := newBench(s.URL, get("s", "/")).towards(scenario.Target{Auth: tc.auth})
		b.secrets = map[string]string{"KEY": "hunter2"}
		r, _, ok, err := b.run(t, t.Context())
		if diff := cmp.Diff([]string{tc.want}, r.outcomes()); diff != "" || ok || !r.reports[0].Unsent() {
			t.Errorf("%+v: %v (-want +got):\n%s", tc.auth, err, diff)
		}
		if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), base64.StdEncoding.EncodeToString([]byte("hunter2"))) {
			t.Errorf("error: %v", err)
		}
	}
	if len(s.seen) > 0 {
		t.Errorf("the server was sent %v", s.seen)
	}
}

// TestAWSSigned: the request that arrives is the one that was signed: signing what arrived gives the same.
func TestAWSSigned(t *testing.T) {
	var last *http.Request
	var body []byte
	s := newShopRaw(t, func(_ http.ResponseWriter, r *http.Request) {
		last = r.Clone(t.Context())
		body, _ = io.ReadAll(r.Body)
	})
	step := post("s", scenario.HTTP{HasJSON: true, JSON: map[string]any{"a": "${setup.a}"}})
	step.HTTP.Path, step.HTTP.Query = "/things/${setup.a}", []scenario.Field{{Name: "q", Value: "${setup.a}"}}
	b := newBench(s.URL+"/base", step).towards(scenario.Target{Auth: &scenario.Auth{AWS: &scenario.AWSAuth{
		Region: "eu-west-1", Service: "execute-api", AccessKey: "AKID", SecretKey: "${secret.KEY}", SessionToken: "token",
	}}})
	b.secrets, b.setup = map[string]string{"KEY": "hunter2"}, map[string]any{"a": "b c/\u00e9"}
	if _, _, ok, err := b.run(t, t.Context()); !ok || err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse("20060102T150405Z", last.Header.Get("X-Amz-Date"))
	if err != nil || time.Since(at) > time.Hour {
		t.Errorf("date %v, %v", at, err)
	}
	again := signAgain(last, body, "hunter2", at)
	if got := last.Header.Get("Authorization"); got != again {
		t.Errorf("authorization\n%s\nof what arrived\n%s", got, again)
	}
	if last.URL.EscapedPath() != "/base/things/b%20c/%C3%A9" || last.Header.Get("X-Amz-Security-Token") != "token" {
		t.Errorf("request %s, %v", last.URL, last.Header)
	}
}

// session is a server with a session in a cookie: /in sets it, everything else says who is in.
func session(t *testing.T) *shop {
	return newShop(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/in" {
			http.SetCookie(w, &http.Cookie{Name: "sid", Value: r.URL.Query().Get("user"), Path: "/", HttpOnly: true})
			http.SetCookie(w, &http.Cookie{Name: "other", Value: "a b", Path: "/private"})
			return
		}
		_, _ = io.WriteString(w, r.Header.Get("Cookie"))
	})
}

// TestCookies: a jar is a user's, and without one an iteration's; without cookies there is none.
func TestCookies(t *testing.T) {
	s := session(t)
	who := get("who", "/who")
	who.Save = []scenario.Expression{{Name: "who", Source: "body"}}
	private := get("private", "/private/x")
	private.Save = []scenario.Expression{{Name: "private", Source: "body"}}
	own := get("own", "/who")
	own.HTTP.Headers = []scenario.Field{{Name: "cookie", Value: "mine=1"}}
	own.Save = []scenario.Expression{{Name: "own", Source: "body"}}
	flow := []scenario.Step{get("in", "/in?user=${setup.user}"), who, private, own}
	for _, tc := range []struct {
		name    string
		cookies bool
		want    map[string]any
	}{
		{"kept", true, map[string]any{"who": "sid=ann", "private": `other="a b"; sid=ann`, "own": "mine=1"}},
		{"not kept", false, map[string]any{"who": "", "private": "", "own": "mine=1"}},
	} {
		b := newBench(s.URL, flow...).towards(scenario.Target{Cookies: tc.cookies})
		b.setup = map[string]any{"user": "ann"}
		_, it, ok, err := b.run(t, t.Context())
		if !ok || err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.want, it.Saved()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
	b := newBench(s.URL, who).towards(scenario.Target{Cookies: true})
	b.plan.Flows["in"] = scenario.Flow{Steps: []scenario.Step{{Name: "in", Target: "default", Timeout: time.Minute, HTTP: &scenario.HTTP{Method: "GET", Path: "/in?user=bob"}}}}
	p := b.compile(t)
	if !p.Sessions() {
		t.Error("a program with cookies needs no sessions")
	}
	user := &Session{}
	for _, tc := range []struct {
		flow    string
		session *Session
		want    any
	}{
		{"in", user, nil}, {"f", user, "sid=bob"}, {"f", &Session{}, ""}, {"in", nil, nil}, {"f", nil, ""}, {"f", user, "sid=bob"},
	} {
		it := &Iteration{ID: b.id, Clock: wallClock{time.Now()}, Sink: &record{}, Session: tc.session}
		if err := it.Prepare(p, p.Flow(tc.flow)); err != nil {
			t.Fatal(err)
		}
		if ok, err := it.Run(t.Context(), p.Flow(tc.flow)); !ok || err != nil {
			t.Fatal(err)
		}
		if got := it.Saved()["who"]; got != tc.want {
			t.Errorf("flow %s: %v, want %v", tc.flow, got, tc.want)
		}
	}
	if err := user.Close(); err != nil || user.jar != nil {
		t.Errorf("closing a session: %v, and it still has cookies", err)
	}
}

// TestRedirects: each request that is sent is counted and measured by itself, the last one is judged, and
// methods, bodies and headers go on as browsers have it.
func TestRedirects(t *testing.T) {
	var other *shop
	s := newShop(t, func(w http.ResponseWriter, r *http.Request) {
		status, to, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/to/"), "/")
		code := 0
		if _, err := fmt.Sscan(status, &code); err == nil {
			w.Header().Set("Location", map[string]string{"end": "/end?x=1#part", "relative": "../end", "chain": "/to/303/end", "other": other.URL + "/there", "out": "http://out.example/secret", "wrong": "http://[", "loop": "/to/302/loop"}[to])
			w.WriteHeader(code)
			return
		}
		_, _ = io.WriteString(w, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("X-Step")+" "+r.Header.Get("Authorization")+" "+r.Header.Get("Content-Type"))
	})
	other = newShop(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("X-Step")+" "+r.Header.Get("Authorization"))
	})
	for _, tc := range []struct {
		name, method, path string
		limit              int
		want               []string // outcomes
		body               string   // of the last answer
	}{
		{"not followed", "GET", "/to/302/end", 0, []string{"s 302"}, ""},
		{"301", "GET", "/to/301/end", 1, []string{"s 301", "s 200 redirected"}, "GET /end?x=1 yes Bearer step "},
		{"post to get", "POST", "/to/302/end", 1, []string{"s 302", "s 200 redirected"}, "GET /end?x=1 yes Bearer step "},
		{"put after 302", "PUT", "/to/302/end", 1, []string{"s 302", "s 200 redirected"}, "PUT /end?x=1 yes Bearer step text/plain"},
		{"put after 303", "PUT", "/to/303/end", 1, []string{"s 303", "s 200 redirected"}, "GET /end?x=1 yes Bearer step "},
		{"307", "POST", "/to/307/end", 1, []string{"s 307", "s 200 redirected"}, "POST /end?x=1 yes Bearer step text/plain"},
		{"308", "POST", "/to/308/end", 1, []string{"s 308", "s 200 redirected"}, "POST /end?x=1 yes Bearer step text/plain"},
		{"relative", "GET", "/to/302/relative", 1, []string{"s 302", "s 200 redirected"}, "GET /to/end yes Bearer step "},
		{"chain", "POST", "/to/307/chain", 2, []string{"s 307", "s 303 redirected", "s 200 redirected"}, "GET /end?x=1 yes Bearer step "},
		{"another target", "GET", "/to/302/other", 1, []string{"s 302", "s 200 redirected"}, "GET /there yes Bearer other"},
		{"304 is none", "GET", "/to/304/end", 3, []string{"s 304"}, ""},
		{"300 is none", "GET", "/to/300/end", 3, []string{"s 300"}, ""},
		{"too many", "GET", "/to/302/loop", 3, []string{"s 302", "s 302 redirected", "s 302 redirected", "s 302 redirect redirected"}, ""},
		{"out of the targets", "GET", "/to/302/out", 3, []string{"s 302 redirect"}, ""},
		{"no URL", "GET", "/to/302/wrong", 3, []string{"s 302 redirect"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			step := post("s", scenario.HTTP{Headers: []scenario.Field{{Name: "X-Step", Value: "yes"}, {Name: "Authorization", Value: "Bearer step"}, {Name: "Content-Type", Value: "text/plain"}}, Body: new("hello")})
			step.HTTP.Method, step.HTTP.Path = tc.method, tc.path
			if tc.method == "GET" {
				step.HTTP.Body, step.HTTP.Headers = nil, step.HTTP.Headers[:2]
			}
			step.Save = []scenario.Expression{{Name: "body", Source: "body"}}
			b := newBench(s.URL, step).towards(scenario.Target{Redirects: tc.limit})
			b.beside(t, "other", other.URL, scenario.Target{Auth: &scenario.Auth{Bearer: "other"}})
			r, it, ok, err := b.run(t, t.Context())
			if diff := cmp.Diff(tc.want, r.outcomes()); diff != "" {
				t.Errorf("%v: requests (-want +got):\n%s", err, diff)
			}
			if failed := strings.Contains(tc.want[len(tc.want)-1]+" ", " redirect "); ok == failed || failed && strings.Contains(err.Error(), "secret") {
				t.Errorf("run: %v, %v", ok, err)
			}
			if got := it.Saved()["body"]; ok && got != tc.body {
				t.Errorf("last answer %q, want %q", got, tc.body)
			}
			var sum time.Duration
			for i, q := range r.reports {
				sum += q.Response
				if !q.Sent || q.BytesOut == 0 || q.Service > q.Response || i > 0 && q.Response > q.Ended-r.reports[i-1].Ended {
					t.Errorf("request %d is not measured for itself: %+v", i, q)
				}
			}
			if last := r.reports[len(r.reports)-1]; sum > last.Ended+time.Millisecond {
				t.Errorf("the requests took %v, and all ended after %v", sum, last.Ended)
			}
		})
	}
}

// TestRedirectThatCannotBeDressed: a request that its target wants signed is not sent unsigned, and that it could not
// be signed is no answer of the target's.
func TestRedirectThatCannotBeDressed(t *testing.T) {
	other := newShop(t, answer(200, ""))
	s := newShop(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", other.URL+"/there")
		w.WriteHeader(302)
	})
	b := newBench(s.URL, get("s", "/")).towards(scenario.Target{Redirects: 3})
	b.beside(t, "other", other.URL, scenario.Target{Auth: &scenario.Auth{Bearer: "${secret.NONE}"}})
	r, _, ok, err := b.run(t, t.Context())
	if diff := cmp.Diff([]string{"s 302 request"}, r.outcomes()); diff != "" || ok || err == nil {
		t.Errorf("%v, %v: requests (-want +got):\n%s", ok, err, diff)
	}
	if len(other.seen) > 0 {
		t.Errorf("the other target was sent %v", other.seen)
	}
}

// TestRedirectKeepsTheBase: a redirect leads below the host, not below the target's base path, and takes the
// cookies along that it has set.
func TestRedirectKeepsTheBase(t *testing.T) {
	s := newShop(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/in" {
			http.SetCookie(w, &http.Cookie{Name: "sid", Value: "1", Path: "/"})
			http.Redirect(w, r, "/home", http.StatusSeeOther)
			return
		}
		_, _ = io.WriteString(w, r.URL.Path+" "+r.Header.Get("Cookie"))
	})
	step := get("s", "/in")
	step.Save = []scenario.Expression{{Name: "body", Source: "body"}}
	b := newBench(s.URL+"/api", step, get("again", "/x")).towards(scenario.Target{Redirects: 1, Cookies: true})
	_, it, ok, err := b.run(t, t.Context())
	if !ok || err != nil || it.Saved()["body"] != "/home sid=1" {
		t.Errorf("%v, %v, %v", ok, err, it.Saved())
	}
	if diff := cmp.Diff([]string{"GET /api/in", "GET /home", "GET /api/x"}, s.seen); diff != "" {
		t.Errorf("server saw (-want +got):\n%s", diff)
	}
}

// TestRedirectsShareTheTimeout: the time of a step is for all that its redirects lead to.
func TestRedirectsShareTheTimeout(t *testing.T) {
	s := newShop(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/")
		w.WriteHeader(302)
		time.Sleep(5 * time.Millisecond)
	})
	b := newBench(s.URL, get("s", "/")).towards(scenario.Target{Redirects: 20})
	b.plan.Flows["f"].Steps[0].Timeout = 30 * time.Millisecond
	r, _, ok, err := b.run(t, t.Context())
	if last := r.reports[len(r.reports)-1]; ok || last.Kind != "timeout" {
		t.Errorf("%v, %v: %v", ok, err, r.outcomes())
	}
}

func packed(t *testing.T, coding, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&b)
	if coding == "zstd" {
		var err error
		if w, err = zstd.NewWriter(&b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestCompression: an answer is read as if it had not been compressed, and one that is not what it says is an
// error, whether or not anything reads it.
func TestCompression(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 1<<18+1) // one more than is kept
	for _, tc := range []struct {
		name, ask, coding string
		body              []byte
		want              string
		size              any
	}{
		{"gzip", "gzip", "gzip", packed(t, "gzip", `{"a": 1}`), "s 200", 8},
		{"in capitals", "gzip", "GZIP", packed(t, "gzip", `{"a": 1}`), "s 200", 8},
		{"old name", "gzip", "x-gzip", packed(t, "gzip", `{"a": 1}`), "s 200", 8},
		{"zstd", "zstd", "zstd", packed(t, "zstd", `{"a": 1}`), "s 200", 8},
		{"not compressed", "gzip", "", []byte(`{"a": 1}`), "s 200", 8},
		{"identity", "gzip", "identity", []byte(`{"a": 1}`), "s 200", 8},
		{"nothing", "gzip", "gzip", nil, "s 200", 0},
		{"large", "gzip", "gzip", packed(t, "gzip", large), "s 200", len(large)},
		{"another coding", "gzip", "br", []byte("x"), "s 200 encoding", nil},
		{"two codings", "gzip", "gzip, gzip", packed(t, "gzip", "x"), "s 200 encoding", nil},
		{"garbage", "gzip", "gzip", []byte("no gzip at all"), "s 200 encoding", nil},
		{"garbage zstd", "zstd", "zstd", []byte("no zstd at all"), "s 200 encoding", nil},
		{"cut short", "gzip", "gzip", packed(t, "gzip", `{"a": 1}`)[:20], "s 200 encoding", nil},
		{"wrong checksum", "gzip", "gzip", append(packed(t, "gzip", `{"a": 1}`)[:20], 1, 2, 3, 4, 8, 0, 0, 0), "s 200 encoding", nil},
		{"bomb", "gzip", "gzip", packed(t, "gzip", strings.Repeat("\x00", httpload.DefaultMaxBody+1)), "s 200 body", nil},
	} {
		for _, reads := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, read %v", tc.name, reads), func(t *testing.T) {
				asked := ""
				s := newShop(t, func(w http.ResponseWriter, r *http.Request) {
					asked = r.Header.Get("Accept-Encoding")
					if tc.coding != "" {
						w.Header().Set("Content-Encoding", tc.coding)
					}
					_, _ = w.Write(tc.body)
				})
				step := get("s", "/")
				if reads && tc.size != nil {
					step.Save = []scenario.Expression{{Name: "size", Source: "size"}}
					if tc.size == 8 {
						step.Expect = []string{"json.a == 1"}
					}
				}
				r, it, _, err := newBench(s.URL, step).towards(scenario.Target{Compression: tc.ask}).run(t, t.Context())
				if diff := cmp.Diff([]string{tc.want}, r.outcomes()); diff != "" {
					t.Errorf("%v (-want +got):\n%s", err, diff)
				}
				if reads && it.Saved()["size"] != tc.size {
					t.Errorf("size %v, want %v", it.Saved()["size"], tc.size)
				}
				if asked != tc.ask {
					t.Errorf("asked for %q", asked)
				}
				if in := r.reports[0].BytesIn; in > int64(len(tc.body))+500 {
					t.Errorf("%d bytes in: those of the wire were %d", in, len(tc.body))
				}
			})
		}
	}
}

// TestTrace: the share that is sampled carries a valid traceparent, each with an id of its own, which the report
// has; the others carry none. Which requests are sampled follows from their draws.
func TestTrace(t *testing.T) {
	valid := regexp.MustCompile(`^00-([0-9a-f]{32})-([0-9a-f]{16})-01$`)
	var got []string
	s := newShop(t, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Traceparent"))
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/", http.StatusFound)
		}
	})
	own := get("own", "/")
	own.HTTP.Headers = []scenario.Field{{Name: "traceparent", Value: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}
	b := newBench(s.URL, get("s", "/"), own).towards(scenario.Target{Trace: 0.25})
	p := b.compile(t)
	const n = 2000
	ids := map[string]bool{}
	traced := 0
	for i := range n {
		r := &record{}
		it := &Iteration{ID: Once(uint64(i), "trace"), Clock: wallClock{time.Now()}, Sink: r}
		if err := it.Prepare(p, p.Flow("f")); err != nil {
			t.Fatal(err)
		}
		if ok, err := it.Run(t.Context(), p.Flow("f")); !ok {
			t.Fatal(err)
		}
		sent := got[2*i]
		m := valid.FindStringSubmatch(sent)
		if (m == nil) != (sent == "") || sent == "" != (r.reports[0].Trace == "") || m != nil && (m[1] != r.reports[0].Trace || ids[m[1]]) {
			t.Fatalf("sent %q, reported %q", sent, r.reports[0].Trace)
		}
		if m != nil {
			traced++
			ids[m[1]] = true
		}
		if draw := it.ID.Draw.Named("trace").Float64(0); (draw < 0.25) != (m != nil) {
			t.Fatalf("draw %v, traceparent %q", draw, sent)
		}
		if got[2*i+1] != own.HTTP.Headers[0].Value || r.reports[1].Trace != "" {
			t.Fatalf("a step's own traceparent arrived as %q, reported %q", got[2*i+1], r.reports[1].Trace)
		}
	}
	if traced < n/5 || traced > n*3/10 {
		t.Errorf("%d of %d requests are traced, want a quarter", traced, n)
	}
	got = nil
	r, _, ok, err := newBench(s.URL, get("s", "/moved")).towards(scenario.Target{Trace: 1, Redirects: 1}).run(t, t.Context())
	if !ok || err != nil || len(got) != 2 {
		t.Fatal(ok, err, got)
	}
	first, second := valid.FindStringSubmatch(got[0]), valid.FindStringSubmatch(got[1])
	if first == nil || second == nil || first[1] != second[1] || first[2] == second[2] || r.reports[1].Trace != first[1] {
		t.Errorf("a redirect leaves its trace: %q", got)
	}
}

// TestPlainTargetsAreNotDressed: requests to a target that asks for nothing skip all of it.
func TestPlainTargetsAreNotDressed(t *testing.T) {
	b := newBench(newShopFor(t), get("s", "/")).towards(scenario.Target{})
	p := b.compile(t)
	r, ok := p.Flow("f").Steps[0].operation.(*request)
	if !ok || !r.simple || p.Flow("f").Steps[0].follower != nil || p.Sessions() {
		t.Errorf("a plain target is dressed: %+v", r)
	}
}

// signAgain signs a request as it arrived.
func signAgain(r *http.Request, body []byte, secret string, at time.Time) string {
	in := sigv4.Request{Method: r.Method, Host: r.Host, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Body: body}
	for name, values := range r.Header {
		if name == "Content-Length" || strings.HasPrefix(name, "X-Amz-") {
			continue
		}
		for _, v := range values {
			in.Headers = append(in.Headers, sigv4.Header{Name: name, Value: v})
		}
	}
	signed := sigv4.Sign(in, sigv4.Credentials{AccessKey: "AKID", SecretKey: secret, SessionToken: "token"}, sigv4.Scope{Region: "eu-west-1", Service: "execute-api"}, at)
	return signed[len(signed)-1].Value
}
