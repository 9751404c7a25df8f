package http2load

import (
	"bytes"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// FuzzLeavesTable: a block of which that is said leaves the table as it is, so that a reference into it leads to the
// same as before. A block that is made of references only is one of them.
func FuzzLeavesTable(f *testing.F) {
	f.Add([]byte{0x88, 0xbe})
	f.Add([]byte{0x0f, 0x0d, 0x01, 'a'})
	f.Add(AppendLiteral([]byte{0x82}, "name", []byte("value")))
	f.Add([]byte{0x40, 1, 'a', 1, 'b'})
	f.Add([]byte{0x3f, 0xff, 0xff, 0xff, 0xff, 0x07})
	f.Add([]byte{0x20})
	f.Fuzz(func(t *testing.T, b []byte) {
		var got []hpack.HeaderField
		d := hpack.NewDecoder(4<<10, func(f hpack.HeaderField) { got = append(got, f) })
		if _, err := d.Write([]byte{0x40, 1, 'a', 1, 'b'}); err != nil { // remembered as 62
			t.Fatal(err)
		}
		if referencesOnly(b) && !leavesTable(b) {
			t.Error("references change the table")
		}
		if !leavesTable(b) {
			return
		}
		_, err := d.Write(b)
		if err == nil {
			err = d.Close()
		}
		if err != nil {
			return // the connection ends
		}
		got = nil
		if _, err := d.Write([]byte{0xbe}); err != nil || len(got) != 1 || got[0].Name != "a" || got[0].Value != "b" {
			t.Errorf("after %x: %v, %v", b, got, err)
		}
	})
}

// TestLiterals: what is appended behind a header is a field of it, and forgotten.
func TestLiterals(t *testing.T) {
	b := AppendLiteral(nil, "grpc-timeout", []byte("10u"))
	fields, err := hpack.NewDecoder(4<<10, nil).DecodeFull(b)
	if err != nil || len(fields) != 1 || fields[0].Name != "grpc-timeout" || fields[0].Value != "10u" {
		t.Errorf("%v, %v", fields, err)
	}
	if !leavesTable(b) || leavesTable(b[:len(b)-1]) || referencesOnly(b) {
		t.Errorf("%x", b)
	}
	for _, changes := range [][]byte{{0x40, 1, 'a', 1, 'b'}, {0x7e, 1, 'b'}, {0x20}, {0x3f, 1}, {0x80}, bytes.Repeat([]byte{0xff}, 9)} {
		if leavesTable(changes) {
			t.Errorf("%x", changes)
		}
	}
}
