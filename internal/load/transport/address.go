package transport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// Address returns the host of a target as it is looked up, in ASCII, and its port. ports has the schemes that are
// allowed, with the port that each stands for; empty: the URL must have one. The error says why the URL cannot be
// a target.
func Address(u *url.URL, ports map[string]string) (host, port string, err error) {
	standard, known := ports[u.Scheme]
	switch {
	case !known:
		return "", "", fmt.Errorf("scheme %q is not known here", u.Scheme)
	case u.User != nil:
		return "", "", errors.New("a user in the address is not sent; use an authorization header")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", "", errors.New("has a query or a fragment; give them with each request")
	case u.Hostname() == "":
		return "", "", errors.New("has no host")
	}
	if host, port = u.Hostname(), u.Port(); port == "" {
		port = standard
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", "", fmt.Errorf("port %q is not between 1 and 65535", port)
	}
	if strings.Contains(host, ":") || net.ParseIP(host) != nil {
		return host, port, nil
	}
	ascii, err := idna.Lookup.ToASCII(host)
	if err != nil && !plainName(host) {
		return "", "", fmt.Errorf("host name: %w", err)
	}
	if err == nil {
		host = ascii
	}
	return host, port, nil
}

// plainName admits names that IDNA refuses but networks use, such as those with underscores.
func plainName(host string) bool {
	return strings.Trim(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == ""
}

// ClientTLS returns the configuration of a session with host, from the one that was given; nil is none. protocols are
// what is offered by ALPN.
func ClientTLS(given *tls.Config, host string, protocols ...string) *tls.Config {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if given != nil {
		cfg = given.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName = host
	}
	cfg.NextProtos = slices.Clone(protocols)
	return cfg
}
