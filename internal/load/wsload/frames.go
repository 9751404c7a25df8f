package wsload

import "encoding/binary"

// frames follows the frames of a stream of bytes (RFC 6455, section 5.2), to know whether it stands between
// two of them: there a reading that ran into its limit has lost nothing and can be taken up again.
type frames struct {
	head [14]byte // of the frame that has begun, as far as it came
	have int
	left uint64 // bytes of its payload still to come
}

// between reports whether no frame has begun that is not complete.
func (f *frames) between() bool { return f.have == 0 && f.left == 0 }

// advance takes the next bytes of the stream.
func (f *frames) advance(p []byte) {
	for len(p) > 0 {
		if f.left > 0 {
			n := min(f.left, uint64(len(p)))
			f.left -= n
			p = p[n:]
			continue
		}
		f.head[f.have] = p[0]
		f.have++
		p = p[1:]
		if size, ok := f.size(); ok && f.have == size {
			f.left, f.have = f.payload(), 0
		}
	}
}

// size returns the length of the head, once enough of it is there to tell.
func (f *frames) size() (int, bool) {
	if f.have < 2 {
		return 0, false
	}
	size := 2
	switch f.head[1] & 0x7f {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if f.head[1]&0x80 != 0 {
		size += 4
	}
	return size, true
}

// payload returns the length that a whole head gives.
func (f *frames) payload() uint64 {
	switch n := f.head[1] & 0x7f; n {
	case 126:
		return uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		return binary.BigEndian.Uint64(f.head[2:])
	default:
		return uint64(n)
	}
}
