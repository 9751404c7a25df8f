package metric

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"
	"time"

	"proofload/internal/metric/hist"
)

func FuzzDecodeBatch(f *testing.F) {
	s := NewSecond(3)
	h := hist.New()
	h.Record(time.Second)
	s.Series[Key{ResponseTime, NewLabels("a", "b")}] = Value{Hist: h}
	s.Arrivals[ArrivalKey{"p", "f"}] = &Arrivals{Planned: 1, NotSent: map[Cause]int64{CauseLate: 1}}
	f.Add(EncodeBatch(Batch{Run: "r", Source: Source{"w", 1}, Seq: 1, Second: s})[4:])
	f.Fuzz(func(t *testing.T, body []byte) {
		// The checksum is put right, so that the fuzzer reaches what lies behind it.
		data := resealed(batchMagic, body)
		b, err := DecodeBatch(data)
		if err != nil {
			return
		}
		if !bytes.Equal(EncodeBatch(b), data) {
			t.Error("two encodings of one batch")
		}
	})
}

func FuzzDecodeSegment(f *testing.F) {
	g := NewSegment("r")
	second := NewSecond(3)
	second.Health = HealthDegraded
	g.Add(Batch{Run: "r", Source: Source{"w", 1}, Seq: 1, Second: second}, nil)
	f.Add(g.encode()[4:])
	f.Fuzz(func(t *testing.T, body []byte) {
		data := resealed(segmentMagic, body)
		g, err := decodeSegment(data)
		if err != nil {
			return
		}
		if !bytes.Equal(g.encode(), data) {
			t.Error("two encodings of one segment")
		}
	})
}

func FuzzDecodeAggregate(f *testing.F) {
	a := NewAggregate("r")
	g := NewSegment("r")
	second := NewSecond(3)
	second.Add(Key{ResponseTime, NewLabels("outcome", "failed")}, Value{Hist: hist.New()})
	g.Add(Batch{Run: "r", Source: Source{"w", 1}, Seq: 1, Second: second}, nil)
	a.AddSegment(g)
	f.Add(a.encode()[4:])
	f.Fuzz(func(t *testing.T, body []byte) {
		data := resealed(aggregateMagic, body)
		a, err := decodeAggregate(data)
		if err != nil {
			return
		}
		if !bytes.Equal(a.encode(), data) {
			t.Error("two encodings of one aggregate")
		}
		a.Merge(NewAggregate("r"))
	})
}

// FuzzUnpack reaches what unpacks.
func FuzzUnpack(f *testing.F) {
	f.Add(EncodeSegment(NewSegment("r")))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := DecodeSegment(data); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("refused with %v", err)
		}
	})
}

// resealed makes bytes whose magic word and checksum are right.
func resealed(magic string, body []byte) []byte {
	if len(body) >= 4 {
		body = body[:len(body)-4]
	}
	data := append([]byte(magic), body...)
	return binary.LittleEndian.AppendUint32(data, crc32.Checksum(data, castagnoli))
}
