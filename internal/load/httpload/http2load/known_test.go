package http2load

import (
	"bytes"
	"slices"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// FuzzDecoder: what is known by heart decodes to what the library says, whatever came before.
func FuzzDecoder(f *testing.F) {
	var b bytes.Buffer
	enc := hpack.NewEncoder(&b)
	block := func(fields ...string) []byte {
		b.Reset()
		for i := 0; i < len(fields); i += 2 {
			_ = enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
		}
		return bytes.Clone(b.Bytes())
	}
	first, again := block(":status", "200", "a", "b"), block(":status", "200", "a", "b")
	other := block("c", "d")
	f.Add(first, again, other)
	f.Add(first, []byte{0x88}, []byte{0xff, 0x00})
	f.Add(first, []byte{0xff, 0x80, 0x80, 0x00}, []byte{0x80})
	f.Add([]byte{0x20}, again, []byte{0x3f, 0xe1, 0x1f})
	f.Fuzz(func(t *testing.T, one, two, three []byte) {
		var d decoder
		d.init()
		var want []hpack.HeaderField
		library := hpack.NewDecoder(4<<10, func(f hpack.HeaderField) { want = append(want, f) })
		for _, b := range [][]byte{one, two, two, three, two, two, three, three} {
			want = nil
			_, err := library.Write(b)
			if err == nil {
				err = library.Close()
			}
			got, failure := d.block(b)
			if (failure != nil) != (err != nil) {
				t.Fatalf("%x: %v, the library says %v", b, failure, err)
			}
			if err != nil {
				return // the end of a connection
			}
			if !got.beyond && !slices.Equal(got.fields, want) {
				t.Fatalf("%x: %v, the library says %v", b, got.fields, want)
			}
		}
	})
}
