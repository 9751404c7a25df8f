package grpcload

import (
	"bytes"
	"testing"

	"golang.org/x/net/http2"
	"pgregory.net/rapid"
)

// TestFramesInAnyPieces proves that each GOAWAY is found once however the frames are cut into pieces, and that
// nothing within another frame is taken for one.
func TestFramesInAnyPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b bytes.Buffer
		framer := http2.NewFramer(&b, nil)
		want := 0
		for range rapid.IntRange(0, 6).Draw(t, "frames") {
			if rapid.Bool().Draw(t, "goaway") {
				want++
				_ = framer.WriteGoAway(1, http2.ErrCodeNo, rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "debug"))
				continue
			}
			_ = framer.WriteData(1, false, bytes.Repeat([]byte{byte(http2.FrameGoAway)}, rapid.IntRange(0, 700).Draw(t, "data")))
		}
		var s frameScanner
		got := 0
		for rest := b.Bytes(); len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			got += s.goaways(rest[:n])
			rest = rest[n:]
		}
		if got != want {
			t.Errorf("found %d, want %d", got, want)
		}
	})
}
