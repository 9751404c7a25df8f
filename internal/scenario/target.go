package scenario

import (
	"reflect"
	"regexp"

	"proofload/internal/scenario/expression"
)

// TargetF is a target: the text of its URL, or a map with the way to it.
type TargetF struct {
	targetMap
	At pos
}

type targetMap struct {
	URL         Text          `yaml:"url,required" is:"text"`
	HTTP        *Text         `yaml:"http" is:"1.1|2|3"`
	TLS         *TLSF         `yaml:"tls"`
	DNS         *DNSF         `yaml:"dns"`
	Connections *ConnectionsF `yaml:"connections"`
	Auth        *AuthF        `yaml:"auth"`
	Cookies     *Flag         `yaml:"cookies"`
	Redirects   *Count        `yaml:"redirects" is:"..20"`
	Compression *Text         `yaml:"compression" is:"none|gzip|zstd"`
	Trace       *TraceF       `yaml:"trace"`
	At          pos           `yaml:"-"`
}

func (t *TargetF) decode(d *decoder, n *node) {
	t.At = n.pos
	if n.kind != mapNode {
		t.URL.decode(d, n)
		return
	}
	d.decode(n, &t.targetMap)
}

func (*TargetF) long() reflect.Type { return reflect.TypeFor[targetMap]() }

func (t *TargetF) schema(g *generator) *Schema {
	return &Schema{AnyOf: []*Schema{new(Text).schema(g), g.definition(t.long())}}
}

// TLSF is how a target is trusted, and how it trusts the load.
type TLSF struct {
	CA         *Text `yaml:"ca" is:"text"`
	Cert       *Text `yaml:"cert" is:"text" with:"key: a certificate is worth nothing without its key"`
	Key        *KeyF `yaml:"key" with:"cert: a key belongs to a certificate"`
	ServerName *Text `yaml:"server_name" is:"hostname"`
	Verify     *Flag `yaml:"verify"`
	At         pos   `yaml:"-"`
}

// KeyF is a private key: the name of a file, or ${secret.NAME}.
type KeyF struct {
	File   Text
	Secret string // name of the secret; empty: File
}

var secretReference = regexp.MustCompile(`^\s*\$\{\s*secret\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\s*$`)

func (k *KeyF) decode(d *decoder, n *node) {
	if n.kind == scalarNode {
		if m := secretReference.FindStringSubmatch(n.text); m != nil {
			k.Secret, k.File.At = m[1], n.pos
			return
		}
		if refs, err := expression.References(n.text); err == nil {
			for _, ref := range refs {
				if ref.Root == expression.Secret {
					d.fail(n.pos, "a key that is a secret is nothing but it: write ${secret.NAME}")
					return
				}
			}
		}
	}
	k.File.decode(d, n)
}

func (k *KeyF) schema(g *generator) *Schema { return new(Text).schema(g) }

// DNSF is where the name of a target leads.
type DNSF struct {
	Addresses []Text `yaml:"addresses" is:"filled" items:"address" most:"names"`
	Refresh   *Span  `yaml:"refresh" is:">0" most:"names"`
	At        pos    `yaml:"-"`
}

// ConnectionsF is how connections are made and used again.
type ConnectionsF struct {
	Reuse  *Text  `yaml:"reuse" is:"shared|user|never"`
	Source []Text `yaml:"source" is:"filled" items:"address"`
	At     pos    `yaml:"-"`
}
