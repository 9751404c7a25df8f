package agent

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"slices"

	"proofload/internal/wire"
)

// spool is one file: the batches through last are in it or in an earlier one.
type spool struct {
	path  string
	last  uint64
	count int
}

// readSpool returns the whole records of a file; what is torn at its end is left out.
func readSpool(path string, key laneKey) ([]wire.Sealed, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out []wire.Sealed
	for len(data) >= recordHead {
		n := binary.LittleEndian.Uint32(data)
		if n > maxRecord || int(n) > len(data)-recordHead {
			break
		}
		body := data[8 : recordHead+int(n)]
		if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(data[4:]) {
			break
		}
		out = append(out, wire.Sealed{
			Run: key.run, Incarnation: key.incarnation,
			Seq: binary.LittleEndian.Uint64(body), Data: slices.Clone(body[8:]),
		})
		data = data[recordHead+int(n):]
	}
	return out, nil
}
