package metric

import (
	"strconv"
	"testing"
	"time"

	"proofload/internal/metric/hist"
)

// busy is a batch of a worker under load: ten steps with two histograms and two counters each.
func busy() Batch {
	s := NewSecond(100)
	for step := range 10 {
		h := hist.New()
		for i := range 500 {
			h.Record(time.Duration(i%400*i%977+20*step) * time.Millisecond / 10)
		}
		labels := NewLabels("phase", "steady", "flow", "buy", "step", strconv.Itoa(step))
		s.Add(Key{ResponseTime, labels.With("outcome", "ok")}, Value{Hist: h})
		s.Add(Key{ServiceTime, labels.With("outcome", "ok")}, Value{Hist: h})
		s.Add(Key{BytesIn, labels}, Value{Count: 123456})
		s.Add(Key{BytesOut, labels}, Value{Count: 123456})
	}
	s.Arrivals[ArrivalKey{"steady", "buy"}] = &Arrivals{Planned: 500, Sent: 500, Succeeded: 500}
	return Batch{Run: "run", Source: Source{"w", 1}, Seq: 1, Second: s}
}

func BenchmarkEncodeBatch(b *testing.B) {
	batch := busy()
	b.ReportAllocs()
	var data []byte
	for b.Loop() {
		data = EncodeBatch(batch)
	}
	b.ReportMetric(float64(len(data)), "bytes")
}

func BenchmarkDecodeBatch(b *testing.B) {
	data := EncodeBatch(busy())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeBatch(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeSegment(b *testing.B) {
	g := NewSegment("run")
	for i := range uint64(3) {
		batch := busy()
		batch.Source.Incarnation = int64(i)
		g.Add(batch, nil)
	}
	b.ReportAllocs()
	var data []byte
	for b.Loop() {
		data = EncodeSegment(g)
	}
	b.ReportMetric(float64(len(data)), "bytes")
}

func BenchmarkRecorder(b *testing.B) {
	a := NewAccumulator(1, 0)
	h := a.Hist(Key{ResponseTime, Labels{}})
	r := a.Recorder(0)
	b.ReportAllocs()
	for b.Loop() {
		r.Lock()
		r.Observe(0, h, 1234567)
		r.Unlock()
	}
}

// BenchmarkRingParts adds the parts that many workers have of the same second. What a part costs must not be
// what encoding the sum of all costs.
func BenchmarkRingParts(b *testing.B) {
	batch := busy()
	b.ReportAllocs()
	for b.Loop() {
		r := NewRing(RingOptions{Size: 7})
		for range 1000 {
			r.Add(batch.Second)
		}
	}
}
