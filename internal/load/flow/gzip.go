package flow

import (
	"bytes"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// packers are kept: one has tables of a few hundred KiB.
var packers = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

// appendGzip appends data, compressed. Equal data gives equal bytes.
func appendGzip(dst, data []byte) ([]byte, error) {
	w := packers.Get().(*gzip.Writer)
	defer packers.Put(w)
	out := bytes.NewBuffer(dst)
	w.Reset(out)
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
