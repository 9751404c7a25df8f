package sigv4

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"pgregory.net/rapid"
)

// The credentials and the instant of the published test suite of Signature Version 4.
var (
	suite   = Credentials{AccessKey: "AKIDEXAMPLE", SecretKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
	suiteAt = time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
)

func authorization(headers []Header) string {
	return headers[len(headers)-1].Value
}

// TestPublishedVectors: the signatures of the published test suite, and of the example in AWS's own guide.
func TestPublishedVectors(t *testing.T) {
	for _, tc := range []struct {
		name    string
		request Request
		service string
		want    string // signed headers and signature
	}{
		{"get-vanilla", Request{Method: "GET", Path: "/"}, "service", "host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"post-vanilla", Request{Method: "POST", Path: "/"}, "service", "host;x-amz-date, Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{"get-vanilla-empty-query-key", Request{Method: "GET", Path: "/", Query: "Param1=value1"}, "service", "host;x-amz-date, Signature=a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
		{"get-vanilla-query-order-key-case", Request{Method: "GET", Path: "/", Query: "Param2=value2&Param1=value1"}, "service", "host;x-amz-date, Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		{"get-unreserved", Request{Method: "GET", Path: "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"}, "service", "host;x-amz-date, Signature=07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
		{"get-utf8", Request{Method: "GET", Path: "/\u1234"}, "service", "host;x-amz-date, Signature=8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
		{"get-header-value-trim", Request{Method: "GET", Path: "/", Headers: []Header{{"My-Header1", " value1"}, {"My-Header2", ` "a   b   c"`}}}, "service", "host;my-header1;my-header2;x-amz-date, Signature=acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
		{"post-x-www-form-urlencoded", Request{Method: "POST", Path: "/", Headers: []Header{{"Content-Type", "application/x-www-form-urlencoded"}}, Body: []byte("Param1=value1")}, "service", "content-type;host;x-amz-date, Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
		{"ListUsers of the guide", Request{
			Method: "GET", Host: "iam.amazonaws.com", Path: "/", Query: "Action=ListUsers&Version=2010-05-08",
			Headers: []Header{{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}},
		}, "iam", "content-type;host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"},
	} {
		if tc.request.Host == "" {
			tc.request.Host = "example.amazonaws.com"
		}
		got := Sign(tc.request, suite, Scope{"us-east-1", tc.service}, suiteAt)
		want := "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/" + tc.service + "/aws4_request, SignedHeaders=" + tc.want
		if authorization(got) != want {
			t.Errorf("%s:\n got %s\nwant %s", tc.name, authorization(got), want)
		}
	}
}

// TestAgainstTheSDK: whatever the request, the SDK's own signer gives the same signature.
func TestAgainstTheSDK(t *testing.T) {
	text := rapid.StringMatching(`[a-zA-Z0-9 ._~:@!$'()*+,;=-]{0,12}`)
	rapid.Check(t, func(rt *rapid.T) {
		service := rapid.SampledFrom([]string{"execute-api", "s3"}).Draw(rt, "service")
		method := rapid.SampledFrom([]string{"GET", "POST", "DELETE"}).Draw(rt, "method")
		path := "/" + strings.Join(rapid.SliceOfN(rapid.StringMatching(`[a-zA-Z0-9._~-]{1,6}|%20|%C3%A9|a%2Fb`), 0, 3).Draw(rt, "path"), "/")
		var query []string
		for range rapid.IntRange(0, 3).Draw(rt, "parameters") {
			query = append(query, escape(rapid.StringMatching(`[a-zA-Z]{1,5}`).Draw(rt, "name"), false)+"="+strings.ReplaceAll(escape(text.Draw(rt, "value"), false), "%20", "+"))
		}
		body := []byte(text.Draw(rt, "body"))
		c := Credentials{AccessKey: "AKID", SecretKey: "secret", SessionToken: rapid.SampledFrom([]string{"", "token"}).Draw(rt, "token")}
		r := Request{Method: method, Host: "shop.example:8443", Path: path, Query: strings.Join(query, "&"), Body: body}
		theirs, err := http.NewRequest(method, "https://shop.example:8443"+path+"?"+r.Query, bytes.NewReader(body))
		if err != nil {
			rt.Fatal(err)
		}
		if theirs.ContentLength > 0 { // which the SDK signs, too
			r.Headers = append(r.Headers, Header{"Content-Length", strconv.Itoa(len(body))})
		}
		for _, name := range []string{"X-One", "Content-Type"} {
			if v := strings.TrimSpace(text.Draw(rt, name)); v != "" {
				r.Headers = append(r.Headers, Header{name, v})
				theirs.Header.Add(name, v)
			}
		}
		theirs.Header.Set("User-Agent", "x")
		r.Headers = append(r.Headers, Header{"User-Agent", "y"})
		sum := sha256.Sum256(body)
		payload := hex.EncodeToString(sum[:])
		if service == "s3" {
			theirs.Header.Set("X-Amz-Content-Sha256", payload)
		}
		signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
		given := aws.Credentials{AccessKeyID: c.AccessKey, SecretAccessKey: c.SecretKey, SessionToken: c.SessionToken}
		if err := signer.SignHTTP(t.Context(), given, theirs, payload, service, "eu-west-1", suiteAt); err != nil {
			rt.Fatal(err)
		}
		got := Sign(r, c, Scope{"eu-west-1", service}, suiteAt)
		if want := theirs.Header.Get("Authorization"); authorization(got) != want {
			rt.Fatalf("%+v\n got %s\nwant %s", r, authorization(got), want)
		}
		for _, h := range got {
			if theirs.Header.Get(h.Name) != h.Value {
				rt.Fatalf("%s is %q, the SDK sends %q", h.Name, h.Value, theirs.Header.Get(h.Name))
			}
			if strings.Contains(h.Value, c.SecretKey) {
				rt.Fatalf("%s has the secret key", h.Name)
			}
		}
	})
}
