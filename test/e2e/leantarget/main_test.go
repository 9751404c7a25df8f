//go:build linux

package main

import (
	"strings"
	"testing"
)

// TestHeads: wherever what comes on a connection is cut in three, every request is answered once.
func TestHeads(t *testing.T) {
	const request = "GET / HTTP/1.1\r\nHost: a\r\nX-A: \r\r\n\r\n"
	stream := []byte(strings.Repeat(request, 3) + request[:len(request)-1])
	for i := range stream {
		for j := i; j < len(stream); j++ {
			s := &server{seen: map[int32]int{}}
			if n := s.heads(7, stream[:i]) + s.heads(7, stream[i:j]) + s.heads(7, stream[j:]); n != 3 {
				t.Fatalf("cut at %d and %d: %d answers for 3 requests", i, j, n)
			}
		}
	}
}
