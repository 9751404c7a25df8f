package metric

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"runtime"
	"strconv"
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
	s.Slowest = map[StepKey]Exemplar{{"p", "f", "s"}: {Response: time.Second, Trace: "0af7651916cd43dd8448eb211c80319c"}}
	f.Add(EncodeBatch(Batch{Run: "r", Source: Source{"w", 1}, Seq: 1, Second: s})[3:])
	f.Fuzz(func(t *testing.T, body []byte) {
		// The checksum is put right, so that the fuzzer reaches what lies behind it.
		data := resealed(batchMagic, body)
		if len(body) > 0 && body[0] == '2' {
			data = resealed(richer(batchMagic), body[1:])
		}
		b, err := DecodeBatch(data)
		if err != nil {
			return
		}
		if !bytes.Equal(EncodeBatch(b), data) {
			t.Error("two encodings of one batch")
		}
	})
}

// TestBatchIsBoundInMemory: a batch of few bytes that would unpack to very much is refused, before it
// has taken the memory.
func TestBatchIsBoundInMemory(t *testing.T) {
	s := NewSecond(0)
	wide := hist.New()
	for d := time.Duration(1); d > 0 && d < 1<<60; d *= 2 {
		wide.Record(d)
		wide.Record(-d)
	}
	for i := range 2000 {
		s.Series[Key{ResponseTime, NewLabels("n", strconv.Itoa(i))}] = Value{Hist: wide}
	}
	data := EncodeBatch(Batch{Run: "r", Source: Source{"w", 1}, Seq: 1, Second: s})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := DecodeBatch(data)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, ErrCorrupt) {
		t.Errorf("a batch of %d bytes that takes %d MiB is taken: %v", len(data), 2000*wide.Footprint()>>20, err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 2*MaxBatchMemory {
		t.Errorf("refusing it allocated %d MiB", took>>20)
	}
}

// TestEmptySecondsSurvive: a segment of seconds in which nothing happened is read again.
func TestEmptySecondsSurvive(t *testing.T) {
	for n := range 4 {
		g := NewSegment("r")
		for i := range n {
			g.Add(Batch{Run: "r", Source: Source{"w", 1}, Seq: uint64(i) + 1, Second: NewSecond(int64(i))}, nil)
		}
		back, err := DecodeSegment(EncodeSegment(g))
		if err != nil || len(back.Seconds) != n {
			t.Errorf("%d empty seconds: %v", n, err)
		}
	}
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
