package metric

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// MaxUnpacked bounds what a segment or an aggregate may unpack to, in bytes, so that damaged or
// hostile data cannot use up the memory. A segment of a hundred workers has a few MiB.
const MaxUnpacked = 256 << 20

// The packers are shared, because each holds tables of some hundred KiB; they serialise their users
// and start no goroutines.
var (
	packer = sync.OnceValue(func() *zstd.Encoder {
		return must(zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true)))
	})
	unpacker = sync.OnceValue(func() *zstd.Decoder {
		return must(zstd.NewReader(nil,
			zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(MaxUnpacked)))
	})
)

// must is for constructors that can only refuse their options, which are constant here.
func must[T any](v T, err error) T {
	if err != nil {
		panic("metric: " + err.Error())
	}
	return v
}

func compress(raw []byte) []byte {
	return packer().EncodeAll(raw, make([]byte, 0, len(raw)/2+64))
}

func decompress(data []byte) ([]byte, error) {
	raw, err := unpacker().DecodeAll(data, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return raw, nil
}
