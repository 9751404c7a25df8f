package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gorilla/websocket"
)

// guests are the clients that a server has seen: the names of their certificates, and the names that they asked for.
type guests struct {
	mu           sync.Mutex
	names, asked map[string]int
}

func (g *guests) saw(s *tls.ConnectionState) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.names[s.PeerCertificates[0].Subject.CommonName]++
	g.asked[s.ServerName]++
}

// startSecureChat serves an echo of WebSocket over TLS to clients that have a certificate, and returns its address.
func startSecureChat(t *testing.T, a *authority, g *guests) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(a.file("server.pem"), a.file("server.key"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := new(websocket.Upgrader).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		g.saw(r.TLS)
		for {
			kind, data, err := conn.ReadMessage()
			if err != nil || conn.WriteMessage(kind, data) != nil {
				return
			}
		}
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.pool}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes fail on purpose
	server.StartTLS()
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "https://")
}

// trust are the ways in which a target can be trusted, and what comes of each with a server that has a certificate
// of the authority for inside.test alone and wants one of its clients.
var trust = []struct{ name, tls, kind string }{
	{"good", "{ca: authority.pem, cert: client.pem, key: '${secret.KEY}', server_name: inside.test}", ""},
	{"unverified", "{verify: false, cert: client.pem, key: client.key}", ""},
	{"name", "{ca: authority.pem, cert: client.pem, key: client.key}", "tls_name"},
	{"authority", "{cert: client.pem, key: client.key, server_name: inside.test}", "tls_authority"},
	{"stranger", "{ca: authority.pem, server_name: inside.test}", "tls"},
	{"impostor", "{ca: authority.pem, cert: impostor.pem, key: impostor.key, server_name: inside.test}", "tls"},
}

// secureRun puts five conversations on a server by each way of trust, and compares what came of them.
func secureRun(t *testing.T, a *authority, url, step string) {
	t.Helper()
	stranger := newAuthority(t)
	stranger.issue(t, "impostor", nil, time.Hour)
	files := fstest.MapFS{}
	for name, of := range map[string]*authority{"authority.pem": a, "client.pem": a, "client.key": a, "impostor.pem": stranger, "impostor.key": stranger} {
		data, err := os.ReadFile(of.file(name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: data}
	}
	var targets, flows, phases strings.Builder
	want, with := map[string]uint64{}, ""
	for _, way := range trust {
		fmt.Fprintf(&targets, "  %s: {url: '%s', tls: %s}\n", way.name, url, way.tls)
		fmt.Fprintf(&flows, "  %[1]s:\n    - step: %[1]s\n      target: %[1]s\n      timeout: 1m\n      %[2]s\n", way.name, step)
		fmt.Fprintf(&phases, "  - {name: %[1]s, flow: %[1]s,%[2]s late: 1m, rate: [{hold: {at: 20/s, for: 250ms}}]}\n", way.name, with)
		with = " with: good,"
		if way.kind != "" {
			want[way.name+": "+way.kind] = 5
		}
	}
	files["s.yaml"] = &fstest.MapFile{Data: []byte("version: 1\nname: tls\nseed: 1\ntargets:\n" + targets.String() + "flows:\n" + flows.String() + "phases:\n" + phases.String())}
	got := engineRun(t, files, map[string]string{"KEY": string(files["client.key"].Data)})
	if ended, _ := got.Requests(); ended != int64(5*len(trust)) || !maps.Equal(failures(got), want) {
		t.Errorf("%d conversations, errors %v, want %v", ended, failures(got), want)
	}
}

func insideAuthority(t *testing.T) *authority {
	t.Helper()
	a := newAuthority(t)
	a.issue(t, "server", []string{"inside.test"}, time.Hour)
	a.issue(t, "client", nil, time.Hour)
	return a
}

// TestSecureWebSocket: WebSockets over TLS, with the authorities, names and certificates that a target says, against
// a server of another library.
func TestSecureWebSocket(t *testing.T) {
	a, g := insideAuthority(t), &guests{names: map[string]int{}, asked: map[string]int{}}
	secureRun(t, a, "wss://"+startSecureChat(t, a, g), "websocket: {path: /, script: [{send: hello}, {expect: {text: hello}}]}")
	g.mu.Lock()
	defer g.mu.Unlock()
	if fmt.Sprint(g.names, g.asked) != "map[client:10] map[:5 inside.test:5]" {
		t.Errorf("the server saw the certificates %v and was asked for %v", g.names, g.asked)
	}
}

// TestSecureSocket: bytes over TLS, in the same ways, against OpenSSL, which sends back each line reversed.
func TestSecureSocket(t *testing.T) {
	a, port := insideAuthority(t), freePort(t)
	launched(t, port, "openssl", "s_server", "-accept", fmt.Sprintf("127.0.0.1:%d", port), "-rev", "-cert", a.file("server.pem"), "-key", a.file("server.key"),
		"-CAfile", a.file("authority.pem"), "-Verify", "1", "-verify_return_error")
	secureRun(t, a, fmt.Sprintf("tls://127.0.0.1:%d", port), `tcp: {script: [{send: "hello\n"}, {expect: {text: "olleh\n"}}]}`)
}
