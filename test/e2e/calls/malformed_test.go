package calls

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"
)

// TestMalformedMessages: a message that is none of its type is no success where something reads it; where nothing
// does it is counted.
func TestMalformedMessages(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		_, _ = w.Write([]byte{0, 0, 0, 0, 3, 0xff, 0xff, 0xff})
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	defer s.Close()
	const proto = `syntax = "proto3"; package a; message M { int32 n = 1; } service S { rpc C(M) returns (M); }`
	const call = "      grpc: {method: a.S/C, proto: a.proto}\n      on_fail: continue\n"
	r, err := execute(t, fstest.MapFS{"a.proto": {Data: []byte(proto)}}, scenarioOf("grpc://"+s.Listener.Addr().String(), ""+
		"    - step: checked\n"+call+"      expect: [message.n == 0]\n"+
		"    - step: saved\n"+call+"      save: {n: message.n}\n"+
		"    - step: counted\n"+call+"      expect: [size == 3]\n"))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, r, "checked OK check", "saved OK extract", "counted OK")
}
