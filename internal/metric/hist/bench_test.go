package hist

import (
	"testing"
	"time"
)

func BenchmarkRecord(b *testing.B) {
	h := New()
	v := time.Duration(1)
	b.ReportAllocs()
	for b.Loop() {
		v = v*6364136223846793005 + 1442695040888963407
		h.Record(v & (1<<36 - 1))
	}
}

// latencies is a second of a busy series.
func latencies() *Histogram {
	h := New()
	for i := range 10_000 {
		h.Record(time.Duration(i%400*i%977) * time.Microsecond)
	}
	return h
}

func BenchmarkMerge(b *testing.B) {
	h, o := New(), latencies()
	b.ReportAllocs()
	for b.Loop() {
		h.Merge(o)
	}
}

func BenchmarkEncode(b *testing.B) {
	h := latencies()
	var data []byte
	b.ReportAllocs()
	for b.Loop() {
		data = h.AppendBinary(data[:0])
	}
	b.ReportMetric(float64(len(data)), "bytes")
}

func BenchmarkDecode(b *testing.B) {
	data := latencies().AppendBinary(nil)
	var h Histogram
	b.ReportAllocs()
	for b.Loop() {
		if err := h.UnmarshalBinary(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkQuantile(b *testing.B) {
	h := latencies()
	for b.Loop() {
		h.Quantile(0.99)
	}
}

// BenchmarkDecodeRelease is what a coordinator does with each histogram: it is decoded, merged and forgotten.
func BenchmarkDecodeRelease(b *testing.B) {
	data, sum := latencies().AppendBinary(nil), New()
	b.ReportAllocs()
	for b.Loop() {
		var h Histogram
		if err := h.UnmarshalBinary(data); err != nil {
			b.Fatal(err)
		}
		sum.Merge(&h)
		h.Release()
	}
}
