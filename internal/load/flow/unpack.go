package flow

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"proofload/internal/load/httpload"
	"proofload/internal/load/transport"
	"proofload/internal/scenario/expression"
)

// opUnpack is what is being done, for errors.
const opUnpack = "decompress body"

// unpack undoes the content coding of the answer. A coding that was not asked for, and a body that is not in the
// coding that it says, is an error of kind encoding, one that unpacks to more than a body may have one of kind
// body. A body of which not all was kept stays as it is: it is Truncated.
func (it *Iteration) unpack(coding string, r *expression.Response) *transport.Error {
	given, _ := it.resp.Header("Content-Encoding")
	name := strings.ToLower(strings.TrimSpace(string(given)))
	if name == "" || name == "identity" || r.Size == 0 || r.Truncated {
		return nil
	}
	if name == "x-gzip" {
		name = "gzip"
	}
	if name != coding {
		return &transport.Error{Kind: transport.KindEncoding, Op: opUnpack, Err: fmt.Errorf("it is %w, and %s was asked for", transport.QuoteStart(given, 20), coding)}
	}
	u := unpackers[name].Get().(unpacker)
	defer unpackers[name].Put(u)
	it.plain.Reset()
	err := u.Reset(bytes.NewReader(r.Body))
	var n int64
	if err == nil {
		n, err = io.Copy(&it.plain, io.LimitReader(u, httpload.DefaultKeepBody))
	}
	if err == nil && n == httpload.DefaultKeepBody {
		var more int64
		more, err = io.Copy(io.Discard, io.LimitReader(u, httpload.DefaultMaxBody-n+1))
		n, r.Truncated = n+more, more > 0
	}
	switch {
	case err != nil:
		return &transport.Error{Kind: transport.KindEncoding, Op: opUnpack, Err: fmt.Errorf("not valid %s: %w", name, err)}
	case n > httpload.DefaultMaxBody:
		return &transport.Error{Kind: transport.KindBody, Op: opUnpack, Err: errors.New("it unpacks to more than a body may have")}
	}
	r.Body, r.Size = it.plain.Bytes(), n
	return nil
}

// unpacker undoes one coding. It is used for one body after the other.
type unpacker interface {
	io.Reader
	Reset(io.Reader) error
}

// unpackers has the codings that can be asked for.
var unpackers = map[string]*sync.Pool{
	"gzip": {New: func() any { return new(gzip.Reader) }},
	"zstd": {New: func() any {
		// One goroutine's worth of work; the window is what a body may have at most.
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			panic(err) // the options are constant
		}
		return d
	}},
}
