package e2e

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/mccutchen/go-httpbin/v2/httpbin"
	"github.com/quic-go/quic-go/http3"

	"proofload/internal/load"
	"proofload/internal/load/schedule"
	"proofload/internal/metric"
	language "proofload/internal/scenario"
)

// spoken is a server of one version of HTTP over TLS, which counts the requests of it and of any other.
type spoken struct {
	url             string
	received, other atomic.Int64
}

// startSpoken serves go-httpbin over one version of HTTP, and at /signed whoever has signed the request.
func startSpoken(t *testing.T, a *authority, version int) *spoken {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(a.file("server.pem"), a.file("server.key"))
	if err != nil {
		t.Fatal(err)
	}
	s := &spoken{}
	app := httpbin.New()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != version {
			s.other.Add(1)
		}
		s.received.Add(1)
		if r.URL.Path != "/signed" {
			app.ServeHTTP(w, r)
		} else if why := unsigned(r); why != "" {
			http.Error(w, why, http.StatusForbidden)
		}
	})
	cfg := &tls.Config{Certificates: []tls.Certificate{pair}}
	if version < 3 {
		server := httptest.NewUnstartedServer(handler)
		server.TLS, server.EnableHTTP2 = cfg, version == 2
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
		t.Cleanup(server.Close)
		s.url = server.URL
		return s
	}
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http3.Server{TLSConfig: http3.ConfigureTLSConfig(cfg), Handler: handler}
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(socket) })
	t.Cleanup(func() {
		_, _ = server.Close(), socket.Close()
		wg.Wait()
	})
	s.url = "https://" + socket.LocalAddr().String()
	return s
}

// unsigned says why a request is not signed by AWS Signature Version 4 with the key id ann and the secret hunter2;
// it computes that from what has come, as the specification says for a path and a query without characters that
// would have to be escaped.
func unsigned(r *http.Request) string {
	scope, fields, signature := "", "", ""
	for part := range strings.SplitSeq(strings.TrimPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 "), ", ") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "Credential":
			scope = value
		case "SignedHeaders":
			fields = value
		case "Signature":
			signature = value
		}
	}
	of := strings.Split(scope, "/")
	if len(of) != 5 || of[0] != "ann" || !strings.Contains(";"+fields+";", ";host;") {
		return fmt.Sprintf("credential %q, headers %q", scope, fields)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err.Error()
	}
	digest := func(b []byte) string {
		sum := sha256.Sum256(b)
		return hex.EncodeToString(sum[:])
	}
	var canonical strings.Builder
	canonical.WriteString(r.Method + "\n" + r.URL.Path + "\n" + r.URL.RawQuery + "\n")
	for name := range strings.SplitSeq(fields, ";") {
		value := strings.Join(r.Header.Values(name), ",")
		if name == "host" {
			value = r.Host
		}
		canonical.WriteString(name + ":" + value + "\n")
	}
	canonical.WriteString("\n" + fields + "\n" + digest(body))
	key := []byte("AWS4hunter2")
	sign := func(text string) []byte {
		mac := hmac.New(sha256.New, key)
		_, _ = mac.Write([]byte(text)) // it never fails
		return mac.Sum(nil)
	}
	for _, part := range of[1:] {
		key = sign(part)
	}
	text := "AWS4-HMAC-SHA256\n" + r.Header.Get("X-Amz-Date") + "\n" + strings.Join(of[1:], "/") + "\n" + digest([]byte(canonical.String()))
	if want := hex.EncodeToString(sign(text)); signature != want {
		return fmt.Sprintf("signature %s, want %s of\n%s", signature, want, canonical.String())
	}
	return ""
}

// engineRun executes a whole plan with one engine and returns all that it has measured.
func engineRun(t *testing.T, files fstest.MapFS, secrets map[string]string) metric.Second {
	t.Helper()
	plan, err := language.Load(files, "s.yaml", language.Options{})
	if err != nil {
		t.Fatal(err)
	}
	content := map[string][]byte{}
	for _, f := range plan.Files() {
		content[f.Digest] = files[f.Name].Data
	}
	clock := zero{time.Now()}
	e, err := load.New(load.Options{
		Plan: plan, Worker: "w", Clock: clock, Secrets: secrets, Logger: hclog.NewNullLogger(),
		Files: func(digest string) ([]byte, error) { return content[digest], nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := e.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.Apply(load.State{Revision: 1, Ranges: []schedule.Range{{From: 0, To: language.Shards}}})
	e.SetLease(math.MaxInt64)
	if err := e.Run(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	return e.Seal(int64(clock.Now() / time.Second))
}

// failures returns how many requests of each step failed with which kind of error.
func failures(s metric.Second) map[string]uint64 {
	out := map[string]uint64{}
	for key, v := range s.Series {
		if kind := key.Labels.Get("error"); key.Metric == metric.ResponseTime && kind != "" {
			out[key.Labels.Get("step")+": "+kind] += v.Hist.Count()
		}
	}
	return out
}

// TestVersionsOfHTTP: what a target asks of every request, redirects, cookies, authorization, compression and
// traces, and all that requests carry, is the same over every version of HTTP, in a run of the whole engine whose
// counts are the server's.
func TestVersionsOfHTTP(t *testing.T) {
	a := newAuthority(t)
	a.issue(t, "server", []string{"127.0.0.1"}, time.Hour)
	ca, err := os.ReadFile(a.file("authority.pem"))
	if err != nil {
		t.Fatal(err)
	}
	const signed = `    - step: signed
      target: aws
      http: {method: POST, path: /signed, query: {a: '1', b: x}, body: 'a body', headers: {x-amz-meta-a: '${data.people.age}'}}
`
	for version := 1; version <= 3; version++ {
		t.Run(fmt.Sprintf("HTTP/%d", version), func(t *testing.T) {
			s := startSpoken(t, a, version)
			spelt := map[int]string{1: "1.1", 2: "2", 3: "3"}[version]
			target := fmt.Sprintf("url: '%s', http: %s, tls: {ca: ca.pem}", s.url, spelt)
			text := strings.NewReplacer(
				"plain: TARGET", "plain: {"+target+"}\n  aws: {"+target+", auth: {aws: {region: eu-1, service: things, access_key: ann, secret_key: '${secret.PASSWORD}'}}}",
				"    url: TARGET\n", fmt.Sprintf("    url: '%s'\n    http: %s\n    tls: {ca: ca.pem}\n", s.url, spelt),
				"{url: TARGET", "{"+target,
				"phases:\n", signed+"phases:\n",
				"{at: 1/s, for: 1s}", "{at: 20/s, for: 1s}", "flow: all\n", "flow: all\n    late: 1m\n",
			).Replace(requests)
			got := engineRun(t, fstest.MapFS{
				"s.yaml":       {Data: []byte(text)},
				"people.jsonl": {Data: []byte(`{"name": "ann \"x\" & co", "age": 7}`)},
				"letter.txt":   {Data: []byte("dear ${data.people.name}, ${data.people.age}")},
				"ca.pem":       {Data: ca},
			}, map[string]string{"PASSWORD": "hunter2"})
			ended, failed := got.Requests()
			if failed > 0 {
				t.Errorf("%d of %d requests failed: %v", failed, ended, failures(got))
			}
			if n := s.received.Load(); ended != n || n != 20*(15+5+1) || s.other.Load() != 0 {
				t.Errorf("%d requests, the server has received %d, %d of another version, want 20 x (15 and 6 of redirects)", ended, n, s.other.Load())
			}
			if n := got.Total(metric.Redirects, nil); n != 20*6 {
				t.Errorf("%d requests by a redirect", n)
			}
		})
	}
}
