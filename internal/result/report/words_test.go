package report

import (
	"strings"
	"testing"

	"proofload/internal/load/flow"
	"proofload/internal/load/transport"
)

// TestKindsHaveWords: each kind of error that a request can have is told in words, and no other is.
func TestKindsHaveWords(t *testing.T) {
	produced := map[string]bool{flow.KindCheck: true, flow.KindExtract: true, flow.KindTemplate: true, "internal": true, flow.KindData: true, flow.KindNotJSON: true, flow.KindNotXML: true}
	for _, kind := range []transport.Kind{
		transport.KindDNS, transport.KindConnect, transport.KindReset, transport.KindTimeout, transport.KindTLS, transport.KindProtocol,
		transport.KindClosed, transport.KindBody, transport.KindLength, transport.KindEncoding, transport.KindRedirect, transport.KindRequest, transport.KindTooManyFiles, transport.KindNoPorts, transport.KindNoSource,
		transport.KindNoBuffers, transport.KindCancelled,
		transport.KindResolver, transport.KindTLSName, transport.KindTLSExpired, transport.KindTLSAuthority,
		transport.KindHandshake, transport.KindExit, transport.KindNoExit, transport.KindNotStarted, flow.KindGarbage, flow.KindSample, transport.KindNotSpoken, transport.KindStreamReset, transport.KindGoAway,
	} {
		produced[string(kind)] = true
	}
	for kind := range produced {
		if text := kindText(kind); strings.HasPrefix(text, "kind ") {
			t.Errorf("%s has no words", kind)
		}
	}
	for kind := range kinds {
		if !produced[kind] {
			t.Errorf("%s is explained, and never produced", kind)
		}
	}
}
