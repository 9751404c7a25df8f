package scenario

import (
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

func (l *loader) buildTargets() {
	f := &l.file
	if f.Target != nil {
		l.target(DefaultTarget, *f.Target)
	}
	for _, name := range slices.Sorted(maps.Keys(f.Targets)) {
		l.target(name, f.Targets[name])
	}
	for _, a := range f.AllowTargets {
		l.plan.AllowTargets = append(l.plan.AllowTargets, a.Value)
	}
}

// Protocols that a step can speak, by the key of the step.
const (
	protocolHTTP      = "http"
	protocolGRPC      = "grpc"
	protocolWebSocket = "websocket"
	protocolTCP       = "tcp"
	protocolUDP       = "udp"
)

// scheme is what the scheme of a target's URL means.
type scheme struct {
	protocol string // of the steps that go there
	secure   bool   // TLS is spoken
}

// schemes has the schemes that a target may have; mock, which is http to a worker itself, stands apart.
var schemes = map[string]scheme{
	"http":  {protocolHTTP, false},
	"https": {protocolHTTP, true},
	"grpc":  {protocolGRPC, false},
	"grpcs": {protocolGRPC, true},
	"ws":    {protocolWebSocket, false},
	"wss":   {protocolWebSocket, true},
	"tcp":   {protocolTCP, false},
	"tls":   {protocolTCP, true},
	"udp":   {protocolUDP, false},
}

// scheme returns the scheme of a target's URL; a mock's is http.
func (t Target) scheme() scheme {
	if t.Mock != "" {
		return schemes["http"]
	}
	name, _, _ := strings.Cut(t.URL, "://")
	return schemes[name]
}

func (t Target) protocol() string { return t.scheme().protocol }

func (l *loader) target(name string, f TargetF) {
	t := f.URL
	if t.Value == "" {
		return
	}
	u, err := url.Parse(t.Value)
	if err == nil && u.Scheme == "mock" {
		l.mocked(name, u.Host, f)
		return
	}
	if _, known := schemes[schemeOf(u)]; err != nil || !known {
		l.fail(t.At, "target %q is not a URL: write http://, https://, grpc://, grpcs://, ws://, wss://, tcp://, tls:// or udp:// with host:port, or mock://name", t.Value)
		return
	}
	if u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		l.fail(t.At, "target %q must be %s://host[:port][/base], without user, query or fragment", u.Redacted(), u.Scheme)
		return
	}
	if schemes[u.Scheme].protocol == protocolGRPC && strings.Trim(u.Path, "/") != "" {
		l.fail(t.At, "target %q must be %s://host[:port]: a method of gRPC has no base", t.Value, u.Scheme)
		return
	}
	if kind := schemes[u.Scheme].protocol; (kind == protocolTCP || kind == protocolUDP) && (u.Port() == "" || strings.Trim(u.Path, "/") != "") {
		l.fail(t.At, "target %q must be %s://host:port", t.Value, u.Scheme)
		return
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			l.fail(t.At, "target %q: a port is between 1 and 65535", t.Value)
			return
		}
	}
	out := Target{URL: strings.TrimSuffix(u.String(), "/")}
	l.way(&out, f, u)
	l.dressing(&out, f)
	if out.DNS == nil || len(out.DNS.Addresses) == 0 { // else they are where the load goes
		l.permit(t.At, u.Hostname())
	}
	l.plan.Targets[name] = out
}

func schemeOf(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.Scheme
}

// mocked builds a target that each worker serves itself.
func (l *loader) mocked(name, mock string, f TargetF) {
	if _, ok := l.file.Mocks[mock]; !ok {
		l.fail(f.URL.At, "there is no mock %q%s", mock, didYouMean(mock, slices.Sorted(maps.Keys(l.file.Mocks))))
	}
	out := Target{Mock: mock}
	if f.TLS != nil {
		l.fail(f.TLS.At, "tls needs a target with TLS, such as https://host: mocks speak HTTP/1.1 without")
	}
	if f.DNS != nil {
		l.fail(f.DNS.At, "a mock has no name to resolve: leave dns out")
	}
	if f.HTTP != nil && f.HTTP.Value != "1.1" {
		l.fail(f.HTTP.At, "mocks speak HTTP/1.1")
	}
	out.Connections = l.connections(f.Connections)
	l.dressing(&out, f)
	l.plan.Targets[name] = out
}

// permit refuses a host that the load may not go to.
func (l *loader) permit(at pos, host string) {
	if !l.opts.AnyTarget && !l.allowed(host) {
		l.refuse(at, "target host %s is not in allow_targets: add it there if the load may go to it", host)
	}
}

// allowed checks a host against allow_targets. Without the list only this machine is allowed: load
// must never hit a stranger because of a slip.
func (l *loader) allowed(host string) bool {
	h := canonical(host)
	if l.file.AllowTargets == nil {
		addr, err := netip.ParseAddr(h)
		return h == "localhost" || err == nil && addr.IsLoopback()
	}
	for _, a := range l.file.AllowTargets {
		if suffix, ok := strings.CutPrefix(a.Value, "*."); ok && strings.HasSuffix(h, "."+canonical(suffix)) {
			return true
		}
		if a.Value == "*" || canonical(a.Value) == h {
			return true
		}
	}
	return false
}

// canonical writes a host as it is compared: a name in lower case without the dot that makes it
// absolute, an address in its shortest form.
func canonical(host string) string {
	h := strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	if addr, err := netip.ParseAddr(h); err == nil {
		return addr.Unmap().String()
	}
	return h
}
