// Package sigv4 signs requests as AWS Signature Version 4 asks for, with the signature in the Authorization
// header. It exists because the signer of the SDK works on requests of net/http, and because a worker carries
// no libraries of clouds.
//
// It guarantees that neither the secret key nor anything from which it follows is in what Sign returns. It
// does not sign chunk by chunk, and does not presign addresses. All functions may be called concurrently.
package sigv4

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// Credentials name who signs. SessionToken is empty for those that do not end by themselves.
type Credentials struct {
	AccessKey    string
	SecretKey    string
	SessionToken string
}

// Scope is for where a signature is good.
type Scope struct {
	Region  string // us-east-1
	Service string // execute-api, s3
}

// Header is one field of a request.
type Header struct {
	Name  string
	Value string
}

// Request is what is signed: the request as it is sent.
type Request struct {
	Method string
	Host   string // value of the Host field
	// Path is the whole path as it is sent, escaped; Query is what stands behind its question mark.
	Path, Query string
	// Headers are all signed, but for those that proxies change or that are not sent as given.
	Headers []Header
	Body    []byte
}

const (
	algorithm   = "AWS4-HMAC-SHA256"
	terminator  = "aws4_request"
	dayFormat   = "20060102"
	timeFormat  = "20060102T150405Z"
	serviceS3   = "s3"
	hashHeader  = "X-Amz-Content-Sha256"
	dateHeader  = "X-Amz-Date"
	tokenHeader = "X-Amz-Security-Token"
)

// unsigned are the headers that may differ on the way, in lower case.
var unsigned = map[string]bool{
	"authorization": true, "user-agent": true, "x-amzn-trace-id": true, "expect": true, "transfer-encoding": true,
	"connection": true, "traceparent": true, "tracestate": true, "accept-encoding": true,
}

// Sign returns the headers that make r a signed request at an instant of wall time: the date, the token of the
// session if there is one, for s3 the digest of the body, and the authorization.
func Sign(r Request, c Credentials, s Scope, at time.Time) []Header {
	at = at.UTC()
	digest := sha256.Sum256(r.Body)
	payload := hex.EncodeToString(digest[:])
	added := []Header{{dateHeader, at.Format(timeFormat)}}
	if c.SessionToken != "" {
		added = append(added, Header{tokenHeader, c.SessionToken})
	}
	if s.Service == serviceS3 {
		added = append(added, Header{hashHeader, payload})
	}
	fields, names := canonicalHeaders(r, added)
	canonical := strings.Join([]string{r.Method, canonicalPath(r.Path, s.Service), canonicalQuery(r.Query), fields, names, payload}, "\n")
	scope := strings.Join([]string{at.Format(dayFormat), s.Region, s.Service, terminator}, "/")
	hashed := sha256.Sum256([]byte(canonical))
	toSign := strings.Join([]string{algorithm, at.Format(timeFormat), scope, hex.EncodeToString(hashed[:])}, "\n")
	signature := hex.EncodeToString(mac(signingKey(c.SecretKey, at, s), toSign))
	return append(added, Header{
		"Authorization",
		algorithm + " Credential=" + c.AccessKey + "/" + scope + ", SignedHeaders=" + names + ", Signature=" + signature,
	})
}

// signingKey derives the key of a day, a region and a service.
func signingKey(secret string, at time.Time, s Scope) []byte {
	key := []byte("AWS4" + secret)
	for _, part := range []string{at.Format(dayFormat), s.Region, s.Service, terminator} {
		key = mac(key, part)
	}
	return key
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte(text)) // of a hash: never an error
	return h.Sum(nil)
}

// canonicalHeaders returns the lines of the headers that are signed, each with its end, and their names.
func canonicalHeaders(r Request, added []Header) (lines, names string) {
	values := map[string][]string{"host": {r.Host}}
	for _, h := range slices.Concat(r.Headers, added) {
		name := strings.ToLower(h.Name)
		if !unsigned[name] && name != "host" {
			values[name] = append(values[name], strings.Join(strings.Fields(h.Value), " "))
		}
	}
	var sorted []string
	for name := range values {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	var b strings.Builder
	for _, name := range sorted {
		b.WriteString(name + ":" + strings.Join(values[name], ",") + "\n")
	}
	return b.String(), strings.Join(sorted, ";")
}

// canonicalPath escapes the path once more, as every service but s3 does to what it gets.
func canonicalPath(path, service string) string {
	if path == "" {
		return "/"
	}
	if service == serviceS3 {
		return path
	}
	return escape(path, true)
}

// canonicalQuery writes the parameters in order, with every escape the same.
func canonicalQuery(query string) string {
	if query == "" {
		return ""
	}
	type parameter struct{ name, value string }
	var all []parameter
	for item := range strings.SplitSeq(query, "&") {
		if item == "" {
			continue
		}
		name, value, _ := strings.Cut(item, "=")
		all = append(all, parameter{escape(unescape(name), false), escape(unescape(value), false)})
	}
	slices.SortFunc(all, func(a, b parameter) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.value, b.value))
	})
	var b strings.Builder
	for i, p := range all {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.name + "=" + p.value)
	}
	return b.String()
}

// escape escapes all but the unreserved characters of RFC 3986, and slashes if they part a path.
func escape(s string, path bool) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~", c) >= 0, path && c == '/':
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
	return b.String()
}

// unescape undoes the escapes of a query; a % that begins none stays.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '+' {
			c = ' '
		} else if c == '%' && i+2 < len(s) {
			if v, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				c = v[0]
				i += 2
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}
