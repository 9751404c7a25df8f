package coordinator

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// peerCredentials are shown to other coordinators: this one's own certificate. Without one the coordinators
// serve no TLS, and call each other without it.
func peerCredentials(o TLSOptions) (credentials.TransportCredentials, error) {
	if o.CertFile == "" {
		return insecure.NewCredentials(), nil
	}
	cert, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("certificate of the coordinator: %w", err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	switch {
	case o.PeerCAFile != "":
		config.RootCAs = x509.NewCertPool()
		err = addAuthorities(config.RootCAs, o.PeerCAFile)
	case o.ClientCAFile != "":
		if config.RootCAs, err = x509.SystemCertPool(); err != nil {
			return nil, fmt.Errorf("authorities of this machine: %w", err)
		}
		err = addAuthorities(config.RootCAs, o.ClientCAFile)
	}
	if err != nil {
		return nil, fmt.Errorf("certificates of other coordinators: %w", err)
	}
	return credentials.NewTLS(config), nil
}

func addAuthorities(pool *x509.CertPool, file string) error {
	pem, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds none", file)
	}
	return nil
}

// serverCredentials reads the coordinator's certificate, and whom it trusts as clients.
func serverCredentials(o TLSOptions) (credentials.TransportCredentials, error) {
	cert, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("certificate of the coordinator: %w", err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	if o.ClientCAFile != "" {
		config.ClientCAs = x509.NewCertPool()
		if err := addAuthorities(config.ClientCAs, o.ClientCAFile); err != nil {
			return nil, fmt.Errorf("certificates of clients: %w", err)
		}
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return credentials.NewTLS(config), nil
}
