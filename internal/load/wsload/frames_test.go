package wsload

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// TestFrames: however a stream of frames is cut, it stands between two of them exactly where one ends.
func TestFrames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream []byte
		ends := map[int]bool{0: true}
		for range rapid.IntRange(1, 5).Draw(t, "frames") {
			size := rapid.OneOf(rapid.IntRange(0, 200), rapid.IntRange(65_500, 65_600)).Draw(t, "size")
			masked := rapid.Bool().Draw(t, "masked")
			mask := byte(0)
			if masked {
				mask = 0x80
			}
			switch {
			case size > 0xffff:
				stream = append(stream, 0x82, mask|127, 0, 0, 0, 0, 0, byte(size>>16), byte(size>>8), byte(size))
			case size > 125 || rapid.Bool().Draw(t, "long"):
				stream = append(stream, 0x82, mask|126, byte(size>>8), byte(size))
			default:
				stream = append(stream, 0x82, mask|byte(size))
			}
			if masked {
				stream = append(stream, 1, 2, 3, 4)
			}
			stream = append(stream, bytes.Repeat([]byte{0xff}, size)...)
			ends[len(stream)] = true
		}
		var f frames
		for at := 0; at < len(stream); {
			n := min(rapid.IntRange(1, 70_000).Draw(t, "cut"), len(stream)-at)
			f.advance(stream[at : at+n])
			if at += n; f.between() != ends[at] {
				t.Fatalf("after %d of %d bytes: between %v", at, len(stream), f.between())
			}
		}
	})
}
