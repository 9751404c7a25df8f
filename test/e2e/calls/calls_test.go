package calls

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"proofload/internal/metric"
)

func itoa(n int) string { return strconv.Itoa(n) }

// interopSteps are calls of every kind to the interoperability server; DESCRIBED stands for how the methods are
// described.
const interopSteps = `
    - step: empty
      grpc: {method: grpc.testing.TestService/EmptyCall, DESCRIBED}
      expect: [size == 0]
    - step: large
      grpc:
        method: grpc.testing.TestService/UnaryCall
        DESCRIBED
        send: {response_size: 314159, payload: {body: aGVsbG8=}, fillUsername: true}
        metadata: {x-grpc-test-echo-initial: 'user ${user.id}', x-grpc-test-echo-trailing-bin: 'a byte ÿ'}
      expect:
        - code == "OK"
        - len(message.payload.body) == 418880
        - size > 314159
        - headers["X-Grpc-Test-Echo-Initial"] == "user " + string(user.id)
        - headers["x-grpc-test-echo-trailing-bin"] == "a byte ÿ"
      save: {kind: message.payload.type}
    - step: status
      grpc:
        method: grpc.testing.TestService/UnaryCall
        DESCRIBED
        send: {response_status: {code: '${2 + 5}', message: no}}
      expect: [code == "PERMISSION_DENIED"]
    - step: refused
      grpc: {method: grpc.testing.TestService/UnimplementedCall, DESCRIBED}
      on_fail: continue
    - step: down
      grpc:
        method: grpc.testing.TestService/StreamingOutputCall
        DESCRIBED
        send: {responseParameters: [{size: 1000}, {size: 9, interval_us: 2000}, {size: 2653}, {size: 58979}]}
      expect:
        - len(messages) == 4
        - sum(map(messages, len(fromBase64(.payload.body)))) == 62641
        - message == messages[3]
    - step: some
      grpc:
        method: grpc.testing.TestService/StreamingOutputCall
        DESCRIBED
        send: {responseParameters: [{size: 1}, {size: 1}, {size: 1, interval_us: 60000000}]}
        receive: {count: 2}
      expect: [len(messages) == 2, code == "OK"]
    - step: up
      grpc:
        method: grpc.testing.TestService/StreamingInputCall
        DESCRIBED
        send: [{payload: {body: AAAA}}, {payload: {body: '${vars.kind == "COMPRESSABLE" ? "AAAA" : "AA"}'}}, {payload: {body: AA==}}]
      expect: [message.aggregatedPayloadSize == 7]
    - step: both
      grpc:
        method: grpc.testing.TestService/FullDuplexCall
        DESCRIBED
        send: [{responseParameters: [{size: 31415}]}, {responseParameters: [{size: 9}, {size: 9}]}, {responseParameters: []}]
      expect: [len(messages) == 3, size > 31433]
    - step: held
      grpc:
        method: grpc.testing.TestService/FullDuplexCall
        DESCRIBED
        send: [{responseParameters: [{size: 5}]}]
        close: {after: 1s}
      expect: [len(messages) == 1]
    - step: lost
      grpc:
        method: grpc.testing.TestService/StreamingOutputCall
        DESCRIBED
        send: {responseParameters: [{size: 1}, {size: 1}]}
        receive: {until: message.noSuchField == 1}
      on_fail: continue
    - step: late
      grpc:
        method: grpc.testing.TestService/StreamingOutputCall
        DESCRIBED
        send: {responseParameters: [{size: 1, interval_us: 60000000}]}
      timeout: 40ms
      on_fail: continue
`

// TestInterop makes calls of every kind, as reflection, a descriptor set describe them; every iteration has the
// same outcome.
func TestInterop(t *testing.T) {
	var set descriptorpb.FileDescriptorSet
	file := testgrpc.File_grpc_testing_test_proto
	for i := range file.Imports().Len() {
		set.File = append(set.File, protodesc.ToFileDescriptorProto(file.Imports().Get(i)))
	}
	set.File = append(set.File, protodesc.ToFileDescriptorProto(file))
	data, err := proto.Marshal(&set)
	if err != nil {
		t.Fatal(err)
	}
	for name, described := range map[string]string{"reflection": "reflection: true", "descriptor set": "descriptor: testing.binpb"} {
		t.Run(name, func(t *testing.T) {
			s, err := execute(t, fstest.MapFS{"testing.binpb": {Data: data}}, scenarioOf(startInterop(t), strings.ReplaceAll(interopSteps, "DESCRIBED", described)))
			if err != nil {
				t.Fatal(err)
			}
			expect(t, s, "empty OK", "large OK", "status PERMISSION_DENIED", "refused UNIMPLEMENTED check", "down OK", "some OK",
				"up OK", "both OK", "held OK", "lost check", "late timeout")
			streams, messages := of(s, metric.Messages, "down")
			if messages != 4*float64(streams) || streams == 0 {
				t.Errorf("%v messages on %d streams", messages, streams)
			}
			if gaps, _ := of(s, metric.MessageGap, "down"); gaps != 3*streams {
				t.Errorf("%d gaps of %d streams", gaps, streams)
			}
			for _, metric := range []string{metric.FirstMessage, metric.StreamTime} {
				if n, _ := of(s, metric, "down"); n != streams {
					t.Errorf("%d times %s of %d streams", n, metric, streams)
				}
			}
			if n, _ := of(s, metric.Messages, "large"); n != 0 {
				t.Error("a unary call was counted as a stream")
			}
		})
	}
}

// TestInteropUnknown: what the server does not have ends the run before it begins, with its name.
func TestInteropUnknown(t *testing.T) {
	target := startInterop(t)
	for method, want := range map[string]string{
		"grpc.testing.NoService/EmptyCall":                             "reflection of grpc.testing.NoService: the server answers NOT_FOUND",
		"grpc.testing.TestService/NoCall":                              "service grpc.testing.TestService has no method NoCall; there is ",
		"grpc.testing.TestService/UnaryCall, send: {no_such_field: 1}": `the message is no grpc.testing.SimpleRequest: unknown field "no_such_field"`,
		"grpc.testing.TestService/UnaryCall, receive: {count: 1}":      "receive and close are of streams",
	} {
		_, err := execute(t, fstest.MapFS{}, scenarioOf(target, "    - step: s\n      grpc: {method: "+method+"}"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", method, err, want)
		}
	}
	_, err := execute(t, fstest.MapFS{}, scenarioOf("grpc://127.0.0.1:1", "    - step: s\n      grpc: {method: a.B/C}"))
	if err == nil || !strings.Contains(err.Error(), "target default: reflection of a.B: dial: connect: ") {
		t.Errorf("nobody there: %v", err)
	}
}

// TestRouteGuide makes the calls of the route guide, which has no reflection, by its .proto file.
func TestRouteGuide(t *testing.T) {
	target, file := startRouteGuide(t)
	const described = "proto: protos/route_guide.proto"
	s, err := execute(t, fstest.MapFS{"protos/route_guide.proto": {Data: file}}, scenarioOf(target, strings.ReplaceAll(`
    - step: get
      grpc: {method: routeguide.RouteGuide/GetFeature, DESCRIBED, send: {latitude: 409146138, longitude: -746188906}}
      expect: ['message.name == "Berkshire Valley Management Area Trail, Jefferson, NJ, USA"', message.location.longitude == -746188906]
    - step: list
      grpc:
        method: routeguide.RouteGuide/ListFeatures
        DESCRIBED
        send: [{lo: {latitude: 400000000, longitude: -750000000}, hi: {latitude: 420000000, longitude: -730000000}}]
        receive: {until: message.name contains "Berkshire Valley"}
      expect: [len(messages) > 1, 'last(messages).name contains "Berkshire"']
    - step: record
      grpc:
        method: routeguide.RouteGuide/RecordRoute
        DESCRIBED
        send: [{latitude: 406337092, longitude: -740122226}, {latitude: '${400000000 + 6421967}', longitude: -747727624}]
      expect: [message.pointCount == 2, message.featureCount == 2, message.distance > 0]
    - step: chat
      grpc:
        method: routeguide.RouteGuide/RouteChat
        DESCRIBED
        send: [{location: {latitude: 1}, message: 'from ${user.id}/${user.iteration}'}, {location: {latitude: 1}, message: again}]
        receive: {count: 2}
      expect: [len(messages) == 2]
`, "DESCRIBED", described)))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, s, "get OK", "list OK", "record OK", "chat OK")
}

// TestConnections: the server sees as many connections as the target says, of unary calls and of streams each, and one
// more by which it was asked what it is.
func TestConnections(t *testing.T) {
	const unary = "    - step: empty\n      grpc: {method: grpc.testing.TestService/EmptyCall}\n"
	const stream = "    - step: none\n      grpc: {method: grpc.testing.TestService/StreamingOutputCall}\n"
	for name, c := range map[string]struct {
		reuse, steps string
		outcomes     []string
		want         func(sent int64) int64
	}{
		"shared":               {"shared", unary, []string{"empty OK"}, func(int64) int64 { return 1 + 4 }},
		"a user's":             {"user", unary, []string{"empty OK"}, func(int64) int64 { return 1 + 2 }},
		"a call's":             {"never", unary, []string{"empty OK"}, func(sent int64) int64 { return 1 + sent }},
		"shared, with streams": {"shared", unary + stream, []string{"empty OK", "none OK"}, func(int64) int64 { return 1 + 4 + 4 }},
		"a user's, streams":    {"user", stream, []string{"none OK"}, func(int64) int64 { return 1 + 2 }},
		"a user's, with both":  {"user", stream + unary, []string{"none OK", "empty OK"}, func(int64) int64 { return 1 + 2 + 2 }},
		"a call's, streams":    {"never", stream, []string{"none OK"}, func(sent int64) int64 { return 1 + sent }},
	} {
		l := serveInterop(t)
		target := "{url: 'grpc://" + l.Addr().String() + "', connections: {reuse: " + c.reuse + "}}"
		s, err := execute(t, fstest.MapFS{}, scenarioOf(target, c.steps))
		if err != nil {
			t.Fatal(err)
		}
		expect(t, s, c.outcomes...)
		var sent int64
		for _, a := range s.Arrivals {
			sent += a.Sent
		}
		if got := l.n.Load(); got != c.want(sent) {
			t.Errorf("%s: %d connections for %d calls, want %d", name, got, sent, c.want(sent))
		}
	}
}

// TestTLS: a target over TLS is trusted by the authority that the scenario names, and by no other.
func TestTLS(t *testing.T) {
	web := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	defer web.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
	l := serveInterop(t, grpc.Creds(credentials.NewServerTLSFromCert(&web.TLS.Certificates[0])))
	const step = "    - step: empty\n      grpc: {method: grpc.testing.TestService/EmptyCall}"
	s, err := execute(t, fstest.MapFS{"ca.pem": {Data: ca}}, scenarioOf("{url: 'grpcs://"+l.Addr().String()+"', tls: {ca: ca.pem}}", step))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, s, "empty OK")
	_, err = execute(t, fstest.MapFS{}, scenarioOf("grpcs://"+l.Addr().String(), step))
	if err == nil || !strings.Contains(err.Error(), "tls handshake: tls_authority: ") {
		t.Errorf("%v, want that nobody trusted has signed", err)
	}
}
