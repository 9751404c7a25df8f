package grpcload

import (
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	"proofload/internal/load/transport"
)

// TestTimeouts: a timeout has eight digits at most, in the finest unit, and is never shorter than what is left.
func TestTimeouts(t *testing.T) {
	for left, want := range map[time.Duration]string{
		-1: "1n", 0: "1n", 1: "1n", 99_999_999: "99999999n", 100_000_000: "100000u", 100_000_001: "100001u", 10 * time.Second: "10000000u",
		99_999_999 * time.Microsecond: "99999999u", 100 * time.Second: "100000m", 30 * time.Hour: "108000S", 1<<63 - 1: "2562048H",
		5000 * time.Hour: "18000000S", 50_000 * time.Hour: "3000000M",
	} {
		if got := string(appendTimeout(nil, left)); got != want {
			t.Errorf("%v: %s, want %s", left, got, want)
		}
	}
}

func TestMetadataThatIsNone(t *testing.T) {
	c := client(t, "grpc", "127.0.0.1:1")
	for _, md := range []metadata.MD{
		{"": {"a"}}, {"X-A": {"a"}}, {"x a": {"a"}}, {"x-ü": {"a"}}, {"x-a": {"ü"}}, {"x-a": {"\n"}}, {"x-a": {"a", "\x7f"}},
	} {
		if h := c.NewHead("/a.B/C", md); kind(h.err) != transport.KindRequest {
			t.Errorf("%q: %v", md, h.err)
		}
	}
	for _, md := range []metadata.MD{nil, {"x-a_b.c": {" ~"}}, {"x-bin": {"\x00ü\n"}}, {":path": {"a"}}} {
		if h := c.NewHead("/a.B/C", md); h.err != nil {
			t.Errorf("%q: %v", md, h.err)
		}
	}
}
