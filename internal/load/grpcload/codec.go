package grpcload

import (
	"fmt"

	"google.golang.org/grpc/mem"
)

// codec passes messages through as they are. Its name makes the content type the usual one.
type codec struct{}

// received is where a message goes.
type received struct {
	size int
	keep bool
	data []byte // when keep
}

// Name implements encoding.CodecV2.
func (codec) Name() string { return "proto" }

// Marshal implements encoding.CodecV2. The bytes are not copied: nobody may change them afterwards.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("cannot send a %T", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(*b)}, nil
}

// Unmarshal implements encoding.CodecV2.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	r, ok := v.(*received)
	if !ok {
		return fmt.Errorf("cannot receive into a %T", v)
	}
	r.size = data.Len()
	if r.keep {
		if cap(r.data) < r.size {
			r.data = make([]byte, r.size)
		}
		r.data = r.data[:r.size]
		data.CopyTo(r.data)
	}
	return nil
}
