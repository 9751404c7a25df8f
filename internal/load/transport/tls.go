package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"proofload/internal/scenario"
)

// Material is what a plan names and does not hold.
type Material struct {
	// Files returns the content of a file by its digest.
	Files func(digest string) ([]byte, error)
	// Secrets are the values of secrets by name. None is repeated in an error.
	Secrets map[string]string
}

// NewTLS returns the configuration of the client's side of TLS; t may be nil. The caller sets the protocols
// that it offers, and the name of the server if there is none.
func NewTLS(t *scenario.TLS, m Material) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if t == nil {
		return cfg, nil
	}
	cfg.ServerName, cfg.InsecureSkipVerify = t.ServerName, t.NoVerify
	if t.CA != nil {
		pem, err := m.file(t.CA)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("file %s has no certificate in PEM", t.CA.Name)
		}
	}
	if t.Cert == nil {
		return cfg, nil
	}
	pair, err := m.certificate(t)
	if err != nil {
		return nil, fmt.Errorf("client certificate %s: %w", t.Cert.Name, err)
	}
	cfg.Certificates = []tls.Certificate{pair}
	return cfg, nil
}

func (m Material) file(ref *scenario.FileRef) ([]byte, error) {
	if m.Files == nil {
		return nil, fmt.Errorf("file %s: there are no files", ref.Name)
	}
	data, err := m.Files(ref.Digest)
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", ref.Name, err)
	}
	return data, nil
}

func (m Material) certificate(t *scenario.TLS) (tls.Certificate, error) {
	chain, err := m.file(t.Cert)
	if err != nil {
		return tls.Certificate{}, err
	}
	var key []byte
	switch {
	case t.KeySecret != "":
		value, ok := m.Secrets[t.KeySecret]
		if !ok {
			return tls.Certificate{}, fmt.Errorf("there is no secret %s", t.KeySecret)
		}
		key = []byte(value)
	case t.Key != nil:
		if key, err = m.file(t.Key); err != nil {
			return tls.Certificate{}, err
		}
	default:
		return tls.Certificate{}, errors.New("it has no key")
	}
	return tls.X509KeyPair(chain, key) // its errors tell types of blocks and never what is in them
}
