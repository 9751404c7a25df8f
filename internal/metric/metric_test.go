package metric

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"proofload/internal/metric/hist"
)

var (
	names  = rapid.SampledFrom([]string{"phase", "step", "status", "error", "ß", ""})
	values = rapid.SampledFrom([]string{"a", "b", "200", "", "x\x00y"})
)

func drawLabels(t *rapid.T) Labels {
	return LabelsOf(rapid.MapOfN(names, values, 0, 4).Draw(t, "labels"))
}

func drawSecond(t *rapid.T, index int64) Second {
	s := NewSecond(index)
	s.Paused = time.Duration(rapid.Int64Range(0, 1e9).Draw(t, "paused"))
	s.Health = Health(rapid.IntRange(1, 3).Draw(t, "health"))
	s.Causes = slices.Compact(slices.Sorted(slices.Values(rapid.SliceOfN(rapid.SampledFrom([]string{"cpu", "lag", "fds"}), 0, 3).Draw(t, "causes"))))
	for range rapid.IntRange(0, 6).Draw(t, "series") {
		if rapid.Bool().Draw(t, "counter") {
			s.Add(Key{BytesIn, drawLabels(t)}, Value{Count: rapid.Int64Range(0, 1000).Draw(t, "n")})
			continue
		}
		h := hist.New()
		for _, v := range rapid.SliceOfN(rapid.Int64Range(-10, 1e10), 1, 8).Draw(t, "samples") {
			h.Record(time.Duration(v))
		}
		s.Add(Key{ResponseTime, drawLabels(t)}, Value{Hist: h})
	}
	for range rapid.IntRange(0, 3).Draw(t, "rows") {
		key := ArrivalKey{values.Draw(t, "phase"), values.Draw(t, "flow")}
		n := rapid.Int64Range(0, 100)
		s.Arrivals[key] = &Arrivals{
			Planned: n.Draw(t, "planned"), Sent: n.Draw(t, "sent"), Succeeded: n.Draw(t, "ok"), Failed: n.Draw(t, "failed"),
			NotSent: map[Cause]int64{CauseLate: n.Draw(t, "late")}, InFlight: n.Draw(t, "in flight"), Oldest: map[string]time.Duration{values.Draw(t, "step"): time.Duration(n.Draw(t, "oldest"))},
		}
	}
	for _, phase := range rapid.SliceOfN(values, 0, 2).Draw(t, "capped") {
		s.peak(phase, rapid.Int64Range(0, 100).Draw(t, "peak"))
	}
	for range rapid.IntRange(0, 3).Draw(t, "exemplars") {
		d := rapid.Int64Range(0, 3)
		s.exemplify(StepKey{values.Draw(t, "phase"), "f", values.Draw(t, "step")}, Exemplar{
			At: time.Duration(d.Draw(t, "at")), Response: time.Duration(d.Draw(t, "response")), Service: time.Duration(d.Draw(t, "service")),
			Status: int(d.Draw(t, "status")), Error: values.Draw(t, "error"), Trace: values.Draw(t, "trace"),
		})
	}
	for _, name := range rapid.SliceOfN(rapid.SampledFrom([]string{"revenue", "cpu"}), 0, 2).Draw(t, "described") {
		s.Infos[name] = Info{values.Draw(t, "category"), values.Draw(t, "unit")}
	}
	return s
}

func drawBatch(t *rapid.T, worker string, seq uint64) Batch {
	return Batch{
		Run: "run", Source: Source{worker, 7}, Seq: seq, ShardRevision: 3,
		From: time.Duration(seq) * time.Second, To: time.Duration(seq+1) * time.Second,
		Second: drawSecond(t, int64(seq)),
	}
}

// TestSegmentMergeLaws proves that the order in which batches arrive, and how they are spread over
// segments, changes no byte of what is counted.
func TestSegmentMergeLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var batches []Batch
		for _, w := range []string{"w1", "w2"} {
			for seq := range uint64(rapid.IntRange(0, 4).Draw(t, "batches")) {
				batches = append(batches, drawBatch(t, w, seq+1))
			}
		}
		whole := NewSegment("run")
		for _, b := range batches {
			whole.Add(b, nil)
		}
		// Any interleaving that keeps each worker's order, cut into any number of segments.
		split := NewSegment("run")
		part := NewSegment("run")
		queues := map[string][]Batch{}
		for _, b := range batches {
			queues[b.Source.Worker] = append(queues[b.Source.Worker], b)
		}
		for len(queues) > 0 {
			w := rapid.SampledFrom(slices.Sorted(maps.Keys(queues))).Draw(t, "next")
			part.Add(queues[w][0], nil)
			if queues[w] = queues[w][1:]; len(queues[w]) == 0 {
				delete(queues, w)
			}
			if rapid.Bool().Draw(t, "commit") {
				split.Merge(part)
				part = NewSegment("run")
			}
		}
		split.Merge(part)
		if !bytes.Equal(EncodeSegment(whole), EncodeSegment(split)) {
			t.Error("another order or cut gave other numbers")
		}
	})
}

func TestBatchRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBatch(t, "w", 9)
		data := EncodeBatch(b)
		back, err := DecodeBatch(data)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(EncodeBatch(back), data) {
			t.Error("batch changed on the way")
		}
		at := rapid.IntRange(0, len(data)-1).Draw(t, "damage at")
		data[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "damage"))
		if _, err := DecodeBatch(data); !errors.Is(err, ErrCorrupt) {
			t.Errorf("damage at byte %d gave %v", at, err)
		}
	})
}

func TestSegmentRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := NewSegment("run")
		for i := range uint64(rapid.IntRange(0, 3).Draw(t, "batches")) {
			g.Add(drawBatch(t, "w", i+1), func(m string) bool { return m == BytesIn })
		}
		data := EncodeSegment(g)
		back, err := DecodeSegment(data)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(EncodeSegment(back), data) {
			t.Error("segment changed on the way")
		}
	})
}

// TestMergeLosesNoDisagreement merges what two workers of different opinion produced.
func TestMergeLosesNoDisagreement(t *testing.T) {
	key := Key{"orders", Labels{}}
	h := hist.New()
	h.Record(time.Second)
	a, b := NewSecond(1), NewSecond(1)
	a.Add(key, Value{Hist: h})
	a.Infos["orders"] = Info{"business", "s"}
	b.Add(key, Value{Count: 5})
	b.Infos["orders"] = Info{"business", "{order}"}
	encode := func(first, second Second) []byte {
		g := NewSegment("run")
		g.Add(Batch{Source: Source{"w1", 1}, Seq: 1, Second: first}, nil)
		g.Add(Batch{Source: Source{"w1", 1}, Seq: 2, Second: second}, nil)
		return EncodeSegment(g)
	}
	data := encode(a, b)
	if !bytes.Equal(data, encode(b, a)) {
		t.Error("the order of workers matters")
	}
	g, err := DecodeSegment(data)
	if err != nil {
		t.Fatal(err)
	}
	s := g.Seconds[1]
	if got, n := s.Total("orders", nil), s.Select("orders", nil).Count(); got != 5 || n != 1 {
		t.Errorf("count %d and %d values, want 5 and 1", got, n)
	}
	if got := s.Infos["orders"]; got != (Info{"business", "s"}) {
		t.Errorf("info %v", got)
	}
}

// TestWorkerLabel keeps series apart by worker where a criterion names it, and adds up those that
// carry the label already.
func TestWorkerLabel(t *testing.T) {
	g := NewSegment("run")
	for _, w := range []string{"w1", "w2"} {
		s := NewSecond(0)
		for _, l := range []Labels{{}, NewLabels("worker", "other")} {
			s.Add(Key{BytesIn, l}, Value{Count: 1})
			s.Add(Key{BytesOut, l}, Value{Count: 1})
		}
		g.Add(Batch{Source: Source{w, 1}, Seq: 1, Second: s}, func(m string) bool { return m == BytesIn })
	}
	s := g.Seconds[0]
	for _, w := range []string{"w1", "w2"} {
		if got := s.Series[Key{BytesIn, NewLabels("worker", w)}].Count; got != 2 {
			t.Errorf("%s has %d, want 2", w, got)
		}
	}
	if got := s.Series[Key{BytesOut, Labels{}}].Count; got != 2 {
		t.Errorf("without label %d, want 2", got)
	}
}

// TestParts checks the books that a segment keeps of each source.
func TestParts(t *testing.T) {
	g := NewSegment("run")
	for i, health := range []Health{HealthValid, HealthDegraded, HealthInvalid, 0} {
		s := NewSecond(int64(i))
		s.Health = health
		s.Arrivals[ArrivalKey{"p", "f"}] = &Arrivals{Planned: 3, Sent: 2, Succeeded: 1, Failed: 1}
		part := NewSegment("run")
		part.Add(Batch{
			Source: Source{"w", 1}, Seq: uint64(i) + 1, ShardRevision: 4, Second: s,
			From: time.Duration(i) * time.Second, To: time.Duration(i+1) * time.Second,
		}, nil)
		back, err := DecodeSegment(EncodeSegment(part))
		if err != nil {
			t.Fatal(err)
		}
		g.Merge(back)
	}
	want := &Part{
		FirstSeq: 1, LastSeq: 4, To: 4 * time.Second, ShardRevision: 4, LastSecond: 3,
		Planned: 12, Sent: 8, Succeeded: 4, Failed: 4, Lost: 1,
		Unhealthy: map[int64]Health{1: HealthDegraded, 2: HealthInvalid, 3: HealthInvalid},
	}
	if got := g.Parts[Source{"w", 1}]; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if from, to := g.Span(); from != 0 || to != 4 {
		t.Errorf("span %d to %d", from, to)
	}
}

func TestDecodeRefusesWhatIsNotCanonical(t *testing.T) {
	good := EncodeBatch(Batch{Run: "r", Source: Source{"w", 1}, Seq: 1, Second: NewSecond(0)})
	body := good[4:]
	for name, change := range map[string]func([]byte) []byte{
		"same text twice":    func(b []byte) []byte { b[4] = 'r'; return b },
		"longer number":      func(b []byte) []byte { return slices.Replace(b, 0, 1, 0x82, 0) },
		"order of first use": func(b []byte) []byte { b[5], b[6] = 1, 0; return b },
		"unused text":        func(b []byte) []byte { b[6] = 0; return b },
		"more than there is": func(b []byte) []byte { b[0] = 200; return b },
		"trailing":           func(b []byte) []byte { return slices.Insert(b, len(b)-4, 0) },
	} {
		if _, err := DecodeBatch(resealed(batchMagic, change(slices.Clone(body)))); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := DecodeBatch(resealed(batchMagic, body)); err != nil {
		t.Errorf("unchanged: %v", err)
	}
	if _, err := DecodeBatch(resealed(segmentMagic, body)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("another kind: %v", err)
	}
}

// TestUnpackingIsBounded gives a frame that says it unpacks to a terabyte.
func TestUnpackingIsBounded(t *testing.T) {
	frame := binary.LittleEndian.AppendUint64([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0}, 1<<40)
	frame = append(frame, 0x03, 0x00, 0x00, 0x00) // and ends with an RLE block
	if _, err := DecodeSegment(frame); !errors.Is(err, ErrCorrupt) || !errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestLabels(t *testing.T) {
	l := NewLabels("step", "s", "phase", "p", "none", "", "step", "pay")
	for name, c := range map[string]struct{ got, want any }{
		"text":        {l.String(), `{phase="p",step="pay"}`},
		"get":         {l.Get("step"), "pay"},
		"get absent":  {l.Get("none"), ""},
		"with":        {l.With("flow", "f"), NewLabels("flow", "f", "phase", "p", "step", "pay")},
		"with empty":  {l.With("step", ""), NewLabels("phase", "p")},
		"without":     {l.Without("step", "phase"), Labels{}},
		"separator":   {NewLabels("a\x00b", "c\x00d"), NewLabels("a\ufffdb", "c\ufffdd")},
		"round about": {LabelsOf(l.Map()), l},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
}

// TestCoverageEndsWithTheLastBatchThatCovers proves that seconds which a worker sealed without a lease, and
// in which it therefore covered nothing, do not count as covered: what was due in them is lost.
func TestCoverageEndsWithTheLastBatchThatCovers(t *testing.T) {
	g := NewSegment("r")
	source := Source{Worker: "w", Incarnation: 1}
	for i, to := range []time.Duration{time.Second, 2 * time.Second, 2 * time.Second, 3 * time.Second} {
		from := time.Duration(i) * time.Second
		b := Batch{Run: "r", Source: source, Seq: uint64(i) + 1, From: min(from, to), To: to, Second: NewSecond(int64(i))}
		if i >= 2 {
			b.From, b.To = from, from // nothing of this second was covered
		}
		g.Add(b, func(string) bool { return false })
	}
	if got, want := g.Parts[source].To, 2*time.Second; got != want {
		t.Errorf("covered until %v, want %v", got, want)
	}
	if got := g.Parts[source].LastSeq; got != 4 {
		t.Errorf("last batch %d, want 4", got)
	}
}
