//go:build linux

package main

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestHeads: however what comes on a connection is cut, every request is answered once.
func TestHeads(t *testing.T) {
	const request = "GET / HTTP/1.1\r\nHost: a\r\nX-A: \r\r\n\r\n"
	rapid.Check(t, func(t *rapid.T) {
		s := &server{seen: map[int32]int{}}
		n := rapid.IntRange(0, 5).Draw(t, "requests")
		stream, got := []byte(strings.Repeat(request, n)+request[:len(request)-1]), 0
		for len(stream) > 0 {
			cut := rapid.IntRange(1, len(stream)).Draw(t, "cut")
			got += s.heads(7, stream[:cut])
			stream = stream[cut:]
		}
		if got != n {
			t.Fatalf("%d answers for %d requests", got, n)
		}
	})
}
