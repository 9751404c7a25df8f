package httpload

import (
	"net/url"
	"testing"
)

// TestEndpointPath: where a request goes, whatever the target's base path.
func TestEndpointPath(t *testing.T) {
	for _, tc := range []struct {
		target string
		req    Request
		want   string
	}{
		{"http://shop", Request{}, "/"},
		{"http://shop", Request{Path: "?a=b"}, "/?a=b"},
		{"http://shop/", Request{Path: "/x"}, "/x"},
		{"http://shop/api", Request{}, "/api"},
		{"http://shop/api", Request{Path: "?a=b"}, "/api?a=b"},
		{"http://shop/api/", Request{Path: "/x"}, "/api/x"},
		{"http://shop/api", Request{Path: "/x", Absolute: true}, "/x"},
		{"http://shop/api", Request{Absolute: true}, "/"},
		{"http://shop/api", Request{Path: "?a=b", Absolute: true}, "/?a=b"},
	} {
		u, err := url.Parse(tc.target)
		if err != nil {
			t.Fatal(err)
		}
		e, err := NewEndpoint(u)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Path(&tc.req); got != tc.want {
			t.Errorf("%q, absolute %v, at %s: %s, want %s", tc.req.Path, tc.req.Absolute, tc.target, got, tc.want)
		}
	}
}
