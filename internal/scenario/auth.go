package scenario

import (
	"fmt"
	"slices"
	"strings"
)

// AuthF is how requests say who sends them.
type AuthF struct {
	Basic  *BasicF       `yaml:"basic" one:"auth"`
	Bearer *TemplateText `yaml:"bearer" one:"auth"`
	AWS    *AWSF         `yaml:"aws" one:"auth"`
	At     pos           `yaml:"-"`
}

// BasicF is a user with a password.
type BasicF struct {
	User     TemplateText `yaml:"user,required"`
	Password TemplateText `yaml:"password,required"`
}

// AWSF signs requests for a service of AWS.
type AWSF struct {
	Region       Text          `yaml:"region,required" is:"text"`
	Service      Text          `yaml:"service,required" is:"text"`
	AccessKey    TemplateText  `yaml:"access_key,required"`
	SecretKey    TemplateText  `yaml:"secret_key,required"`
	SessionToken *TemplateText `yaml:"session_token"`
}

// TraceF is which requests carry the id of a trace.
type TraceF struct {
	Sample Share `yaml:"sample,required" is:"..100%"`
}

// dressing takes what a target asks of every request. Most of it is of HTTP, whoever serves it; a trace can be of all
// that have headers or metadata.
func (l *loader) dressing(out *Target, f TargetF) {
	if f.Trace != nil {
		out.Trace = f.Trace.Sample.Value
	}
	if out.protocol() != protocolHTTP {
		l.undressed(out.protocol(), f)
		return
	}
	if f.Auth != nil {
		out.Auth = l.auth(f.Auth)
	}
	out.Cookies = f.Cookies != nil && f.Cookies.Value
	if f.Redirects != nil {
		out.Redirects = int(f.Redirects.Value)
	}
	if coding := textOr(f.Compression, "none"); coding != "none" {
		out.Compression = coding
	}
}

// traceable are the protocols besides HTTP whose requests can carry the id of a trace.
var traceable = []string{protocolGRPC, protocolWebSocket}

// undressed refuses on a target of another protocol what only HTTP has.
func (l *loader) undressed(protocol string, f TargetF) {
	for _, key := range []struct {
		name  string
		given bool
		at    pos
	}{
		{"auth", f.Auth != nil, f.At},
		{"cookies", f.Cookies != nil, f.At},
		{"redirects", f.Redirects != nil, f.At},
		{"compression", f.Compression != nil, f.At},
	} {
		if key.given {
			l.fail(key.at, "%s is for targets with http:// or https://, this one speaks %s", key.name, protocol)
		}
	}
	if f.Trace != nil && !slices.Contains(traceable, protocol) {
		l.fail(f.At, "trace is for targets with http://, https://, grpc://, grpcs://, ws:// or wss://, this one speaks %s", protocol)
	}
}

func (l *loader) auth(f *AuthF) *Auth {
	take := func(t TemplateText) string {
		l.authTemplate(t)
		return t.Value
	}
	out := &Auth{}
	switch {
	case f.Basic != nil:
		out.Basic = &BasicAuth{User: take(f.Basic.User), Password: take(f.Basic.Password)}
	case f.Bearer != nil:
		out.Bearer = take(*f.Bearer)
	case f.AWS != nil:
		a := f.AWS
		out.AWS = &AWSAuth{Region: a.Region.Value, Service: a.Service.Value, AccessKey: take(a.AccessKey), SecretKey: take(a.SecretKey)}
		if a.SessionToken != nil {
			out.AWS.SessionToken = take(*a.SessionToken)
		}
	}
	return out
}

// authTemplate checks what every step of a target evaluates: of an iteration only its data can be read. Which
// columns there are is known once the data has been read.
func (l *loader) authTemplate(t TemplateText) {
	l.later = append(l.later, func() {
		scope := l.scopeWith(nil, nil)
		scope.User = false
		l.checkTemplate(t.Value, t.At, scope)
	})
}

// look shows every template.
func (a *Auth) look(look func(string)) {
	if a == nil {
		return
	}
	if a.Basic != nil {
		look(a.Basic.User)
		look(a.Basic.Password)
	}
	look(a.Bearer)
	if a.AWS != nil {
		look(a.AWS.AccessKey)
		look(a.AWS.SecretKey)
		look(a.AWS.SessionToken)
	}
}

// mentions reports whether a template contains a text.
func (a *Auth) mentions(text string) bool {
	found := false
	a.look(func(t string) { found = found || strings.Contains(t, text) })
	return found
}

// dressText says in words what a target asks of every request.
func (t Target) dressText() []string {
	var out []string
	if a := t.Auth; a != nil {
		switch {
		case a.Basic != nil:
			out = append(out, "basic authorization")
		case a.AWS != nil:
			out = append(out, "signed for "+a.AWS.Service+" in "+a.AWS.Region)
		default:
			out = append(out, "a bearer token")
		}
	}
	if t.Cookies {
		out = append(out, "cookies of each user")
	}
	if t.Redirects > 0 {
		out = append(out, fmt.Sprintf("up to %d redirects", t.Redirects))
	}
	if t.Compression != "" {
		out = append(out, t.Compression+" answers")
	}
	if t.Trace > 0 {
		out = append(out, fmt.Sprintf("%g %% traced", t.Trace*100))
	}
	return out
}
