package scenario

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/netip"
	"net/url"
	"path"
)

// way builds the way to a target.
func (l *loader) way(out *Target, f TargetF, u *url.URL) {
	kind := out.scheme()
	if f.HTTP != nil {
		l.version(out, *f.HTTP, kind)
	}
	if f.TLS != nil {
		if !kind.secure {
			l.fail(f.TLS.At, "tls needs a target with TLS, such as https://host")
		}
		out.TLS = l.tls(f.TLS)
	}
	out.DNS = l.dns(f.DNS, u.Hostname())
	out.Connections = l.connections(f.Connections)
}

// version takes the version of HTTP that a target is spoken to with.
func (l *loader) version(out *Target, f Text, kind scheme) {
	switch {
	case kind.protocol != protocolHTTP:
		l.fail(f.At, "http is for targets with http:// or https://")
	case f.Value == "3" && !kind.secure:
		l.fail(f.At, "HTTP/3 has no form without TLS: write https://host")
	case f.Value != "1.1":
		out.HTTP = f.Value
	}
}

func (l *loader) tls(f *TLSF) *TLS {
	out := &TLS{}
	if f.CA != nil {
		if ref, data, ok := l.shipped(*f.CA); ok {
			out.CA = &ref
			if !x509.NewCertPool().AppendCertsFromPEM(data) {
				l.fail(f.CA.At, "file %s has no certificate in PEM", path.Base(ref.Name))
			}
		}
	}
	if f.Cert != nil && f.Key != nil {
		l.certificate(out, f)
	}
	if f.ServerName != nil {
		out.ServerName = f.ServerName.Value
	}
	out.NoVerify = f.Verify != nil && !f.Verify.Value
	if *out == (TLS{}) {
		return nil
	}
	return out
}

// files returns the files that a target's TLS needs.
func (t *TLS) files() []FileRef {
	var out []FileRef
	if t == nil {
		return nil
	}
	for _, f := range []*FileRef{t.CA, t.Cert, t.Key} {
		if f != nil {
			out = append(out, *f)
		}
	}
	return out
}

// certificate takes a client certificate with its key, which must belong together. A key that is a secret is
// known only where the coordinator runs.
func (l *loader) certificate(out *TLS, f *TLSF) {
	cert, chain, ok := l.shipped(*f.Cert)
	if !ok {
		return
	}
	out.Cert = &cert
	if block, _ := pem.Decode(chain); block == nil || block.Type != "CERTIFICATE" {
		l.fail(f.Cert.At, "file %s has no certificate in PEM", path.Base(cert.Name))
		return
	}
	if f.Key.Secret != "" {
		out.KeySecret = f.Key.Secret
		l.secrets[out.KeySecret] = true
		return
	}
	key, data, ok := l.shipped(f.Key.File)
	if !ok {
		return
	}
	out.Key = &key
	if _, err := tls.X509KeyPair(chain, data); err != nil {
		l.fail(f.Key.File.At, "files %s and %s are no certificate with its key: %s", path.Base(cert.Name), path.Base(key.Name), err)
	}
}

// dns takes where a name leads. Fixed addresses are where the load goes, so they are what must be allowed.
func (l *loader) dns(f *DNSF, host string) *DNS {
	if f == nil {
		return nil
	}
	if _, err := netip.ParseAddr(host); err == nil {
		l.fail(f.At, "%s is an address, there is no name to resolve: leave dns out", host)
	}
	out := &DNS{Addresses: l.addresses(f.Addresses)}
	for i, a := range out.Addresses {
		l.permit(f.Addresses[i].At, a)
	}
	if f.Refresh != nil {
		out.Refresh = f.Refresh.Value
	}
	if len(f.Addresses) == 0 && f.Refresh == nil {
		return nil
	}
	return out
}

func (l *loader) connections(f *ConnectionsF) *Connections {
	if f == nil {
		return nil
	}
	out := &Connections{Source: l.addresses(f.Source)}
	if reuse := textOr(f.Reuse, "shared"); reuse != "shared" {
		out.Reuse = reuse
	}
	if out.Reuse == "" && len(out.Source) == 0 {
		return nil
	}
	return out
}

// addresses returns IP addresses as they were written; each that is none is a problem.
func (l *loader) addresses(in []Text) []string {
	var out []string
	for _, t := range in {
		if _, err := netip.ParseAddr(t.Value); err != nil {
			l.fail(t.At, "%q is not an IP address: write 10.0.0.7 or fd00::7", t.Value)
		}
		out = append(out, t.Value)
	}
	return out
}
