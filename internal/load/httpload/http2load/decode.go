package http2load

import (
	"bytes"
	"errors"

	"golang.org/x/net/http2/hpack"

	"proofload/internal/load/httpload"
)

// maxBlock bounds a header before it is decoded.
const maxBlock = 4 * httpload.DefaultMaxHeader

// block is a header as it was decoded.
type block struct {
	fields []hpack.HeaderField
	size   int
	beyond bool // it is larger than allowed, and was not kept as a whole

	answer *answer // nil: it was not asked for yet
	kept   answer  // its memory
}

func (b *block) add(f hpack.HeaderField) {
	if b.size += int(f.Size()); b.size > httpload.DefaultMaxHeader {
		b.beyond = true
		return
	}
	b.fields = append(b.fields, f)
}

// keptBlocks is how many headers a connection knows by heart: what a server answers to calls is a header and a
// trailer, in turn.
const keptBlocks = 2

// decoder decompresses headers. One that leaves the table of the connection alone is the same as it was before, as
// long as the table is: it is known by heart.
type decoder struct {
	hpack *hpack.Decoder
	now   *block
	free  block
	known [keptBlocks]knownBlock
	turn  int
}

// knownBlock is a header with its encoding; one without bytes is none.
type knownBlock struct {
	block
	bytes []byte
}

func (d *decoder) init() {
	d.hpack = hpack.NewDecoder(4<<10, func(f hpack.HeaderField) { d.now.add(f) })
	d.hpack.SetMaxStringLength(httpload.DefaultMaxHeader)
}

// block decodes a header block. What it returns is valid until the next call.
func (d *decoder) block(b []byte) (*block, error) {
	for i := range d.known {
		if k := &d.known[i]; len(b) > 0 && bytes.Equal(k.bytes, b) {
			return &k.block, nil
		}
	}
	if !leavesTable(b) {
		for i := range d.known {
			d.known[i].bytes = d.known[i].bytes[:0] // the table may be another one
		}
		d.now = &d.free
		return d.now, d.read(b)
	}
	k := &d.known[d.turn]
	d.turn = (d.turn + 1) % keptBlocks
	k.bytes = k.bytes[:0]
	d.now = &k.block
	if err := d.read(b); err != nil {
		return nil, err
	}
	k.bytes = append(k.bytes, b...)
	return d.now, nil
}

func (d *decoder) read(b []byte) error {
	d.now.fields, d.now.size, d.now.beyond, d.now.answer = d.now.fields[:0], 0, false, nil
	if _, err := d.hpack.Write(b); err != nil {
		return errors.Join(errBlock, err)
	}
	if err := d.hpack.Close(); err != nil {
		return errors.Join(errBlock, err)
	}
	return nil
}

var errBlock = errors.New("a header that cannot be decoded")
