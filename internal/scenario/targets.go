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
	protocolHTTP = "http"
	protocolGRPC = "grpc"
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
}

// later are the schemes of the language that no target may have yet.
var later = []string{"ws", "wss", "tcp", "tls", "udp"}

// scheme returns the scheme of a target's URL; a mock's is http.
func (t Target) scheme() scheme {
	if t.Mock != "" {
		return schemes["http"]
	}
	name, _, _ := strings.Cut(t.URL, "://")
	return schemes[name]
}

func (t Target) protocol() string { return t.scheme().protocol }

func (l *loader) target(name string, t Text) {
	if t.Value == "" {
		return
	}
	u, err := url.Parse(t.Value)
	if err == nil && slices.Contains(later, u.Scheme) {
		l.fail(t.At, "targets with %s:// are not supported yet", u.Scheme)
		return
	}
	if err == nil && u.Scheme == "mock" {
		if _, ok := l.file.Mocks[u.Host]; !ok {
			l.fail(t.At, "there is no mock %q%s", u.Host, didYouMean(u.Host, slices.Sorted(maps.Keys(l.file.Mocks))))
		}
		l.plan.Targets[name] = Target{Mock: u.Host}
		return
	}
	if _, known := schemes[schemeOf(u)]; err != nil || !known {
		l.fail(t.At, "target %q is not a URL: write http://host:port, https://host, grpc://host:port or mock://name", t.Value)
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
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			l.fail(t.At, "target %q: a port is between 1 and 65535", t.Value)
			return
		}
	}
	if !l.opts.AnyTarget && !l.allowed(u.Hostname()) {
		l.refuse(t.At, "target host %s is not in allow_targets: add it there if the load may go to it", u.Hostname())
		return
	}
	l.plan.Targets[name] = Target{URL: strings.TrimSuffix(u.String(), "/")}
}

func schemeOf(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.Scheme
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
