package report

import (
	"strings"
	"testing"

	"proofload/internal/load/flow"
	"proofload/internal/load/httpload"
)

// TestKindsHaveWords: each kind of error that a request can have is told in words, and no other is.
func TestKindsHaveWords(t *testing.T) {
	produced := map[string]bool{flow.KindCheck: true, flow.KindExtract: true, flow.KindTemplate: true, "internal": true}
	for _, kind := range []httpload.Kind{
		httpload.KindDNS, httpload.KindConnect, httpload.KindReset, httpload.KindTimeout, httpload.KindTLS, httpload.KindProtocol,
		httpload.KindClosed, httpload.KindBody, httpload.KindRequest, httpload.KindTooManyFiles, httpload.KindNoPorts,
		httpload.KindNoBuffers, httpload.KindCancelled,
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
