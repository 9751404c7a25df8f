package http2load

import (
	"bytes"
	"slices"
	"testing"

	"golang.org/x/net/http2/hpack"

	"proofload/internal/load/httpload"
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

// TestAnswerByHeart: what is known by heart is what came, and not what came before it in the same place.
func TestAnswerByHeart(t *testing.T) {
	var d decoder
	d.init()
	for _, c := range []struct {
		block  []byte
		status int
		length int64
		fails  bool
		etag   string
	}{
		{literals(":status", "200", "content-length", "2", "etag", "a"), 200, 2, false, "a"},
		{literals(":status", "404", "content-length", "30"), 404, 30, false, ""},
		{literals(":status", "200", "etag", "b"), 200, -1, false, "b"},
		{literals(":status", "200", "content-length", "2", "etag", "a"), 200, 2, false, "a"},
		{literals(":status", "2x0"), 0, -1, true, ""},
		{literals(":status", "200", "etag", "c", ":path", "/"), 200, -1, true, "c"},
		{literals(":status", "200", "content-length", "2", "content-length", "3"), 200, 2, true, ""},
		{literals(":status", "304"), 304, -1, false, ""},
	} {
		for range 2 { // read, and by heart
			b, err := d.block(c.block)
			if err != nil {
				t.Fatal(err)
			}
			a := b.read()
			var resp httpload.Response
			resp.AddField("etag", "of another")
			resp.SetFields(&a.fields)
			etag, _ := resp.Header("ETag")
			if a.status != c.status || a.length != c.length || (a.failure != nil) != c.fails || string(etag) != c.etag {
				t.Errorf("%q: status %d, length %d, %v, etag %q", c.block, a.status, a.length, a.failure, etag)
			}
		}
	}
}

func literals(pairs ...string) (b []byte) {
	for i := 0; i < len(pairs); i += 2 {
		b = AppendLiteral(b, pairs[i], []byte(pairs[i+1]))
	}
	return b
}
