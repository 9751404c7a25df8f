package metric

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
	"time"
)

// ErrCorrupt says that bytes are not what this package encodes, or were damaged.
var ErrCorrupt = errors.New("corrupt samples")

// The encoding is a magic word, a table of the texts in use, a body that names texts by their place
// in the table, and a CRC-32C over all of it. Numbers are uvarints, signed ones zigzag. Maps are
// written in order, so that equal content has equal bytes. What has no exemplars is written as it was before
// there were any; with them the magic word ends in 2.
const (
	batchMagic     = "PLB1"
	segmentMagic   = "PLS1"
	aggregateMagic = "PLA1"
)

// kindBoth is in the encoding only: a value that holds a histogram and a count.
const kindBoth = KindHistogram | KindCounter

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// MaxBatchMemory bounds what one decoded batch takes, in bytes. A batch of a thousand busy series has
// some ten MiB.
const MaxBatchMemory = 64 << 20

// EncodeBatch returns the bytes of a sealed batch.
func EncodeBatch(b Batch) []byte {
	e := newEncoder()
	e.rich = len(b.Second.Slowest) > 0
	e.text(b.Run)
	e.text(b.Source.Worker)
	e.int(b.Source.Incarnation)
	e.uint(b.Seq)
	e.uint(b.ShardRevision)
	e.int(int64(b.From))
	e.int(int64(b.To))
	e.second(b.Second)
	return e.finish(batchMagic)
}

// DecodeBatch reads what EncodeBatch wrote, and nothing else: other bytes are ErrCorrupt. It never
// panics, and refuses a batch that would take more than about MaxBatchMemory: a few bytes can stand
// for a page of one KiB, and what comes from a worker is not to be trusted with that.
func DecodeBatch(data []byte) (Batch, error) {
	d, err := newBoundDecoder(batchMagic, data, MaxBatchMemory)
	if err != nil {
		return Batch{}, fmt.Errorf("decode batch: %w", err)
	}
	b := Batch{Run: d.text(), Source: Source{Worker: d.text(), Incarnation: d.int()}, Seq: d.uint(), ShardRevision: d.uint()}
	b.From, b.To = time.Duration(d.int()), time.Duration(d.int())
	b.Second = d.second()
	if err := d.end(); err != nil {
		return Batch{}, fmt.Errorf("decode batch: %w", err)
	}
	return b, nil
}

type encoder struct {
	body   []byte
	places map[string]uint64
	table  []string
	rich   bool // exemplars are written
}

func newEncoder() *encoder { return &encoder{places: map[string]uint64{}} }

func (e *encoder) uint(v uint64) { e.body = binary.AppendUvarint(e.body, v) }
func (e *encoder) int(v int64)   { e.body = binary.AppendVarint(e.body, v) }

func (e *encoder) text(s string) {
	place, ok := e.places[s]
	if !ok {
		place = uint64(len(e.table))
		e.places[s] = place
		e.table = append(e.table, s)
	}
	e.uint(place)
}

func (e *encoder) finish(magic string) []byte {
	if e.rich {
		magic = richer(magic)
	}
	out := append(make([]byte, 0, len(e.body)+1024), magic...)
	out = binary.AppendUvarint(out, uint64(len(e.table)))
	for _, s := range e.table {
		out = binary.AppendUvarint(out, uint64(len(s)))
		out = append(out, s...)
	}
	out = append(out, e.body...)
	return binary.LittleEndian.AppendUint32(out, crc32.Checksum(out, castagnoli))
}

func (e *encoder) second(s Second) {
	e.int(s.Index)
	e.int(int64(s.Paused))
	e.health(s.Health)
	causes := slices.Compact(slices.Sorted(slices.Values(s.Causes)))
	e.uint(uint64(len(causes)))
	for _, c := range causes {
		e.text(c)
	}
	e.series(s.Series)
	e.uint(uint64(len(s.Infos)))
	for _, name := range slices.Sorted(maps.Keys(s.Infos)) {
		e.text(name)
		e.text(s.Infos[name].Category)
		e.text(s.Infos[name].Unit)
	}
	e.uint(uint64(len(s.Arrivals)))
	for _, key := range slices.SortedFunc(maps.Keys(s.Arrivals), ArrivalKey.Compare) {
		e.text(key.Phase)
		e.text(key.Flow)
		e.arrivals(*s.Arrivals[key])
	}
	e.uint(uint64(len(s.Peaks)))
	for _, phase := range slices.Sorted(maps.Keys(s.Peaks)) {
		e.text(phase)
		e.int(s.Peaks[phase])
	}
	if e.rich {
		e.slowest(s.Slowest)
	}
}

// richer returns the magic word of what has exemplars.
func richer(magic string) string { return magic[:len(magic)-1] + "2" }

// health writes what nobody vouched for as invalid.
func (e *encoder) health(h Health) {
	if h == 0 {
		h = HealthInvalid
	}
	e.uint(uint64(h))
}

func (e *encoder) series(all map[Key]Value) {
	e.uint(uint64(len(all)))
	for _, key := range slices.SortedFunc(maps.Keys(all), Key.Compare) {
		e.text(key.Metric)
		e.labels(key.Labels)
		e.value(all[key])
	}
}

func (e *encoder) value(v Value) {
	kind := v.Kind()
	if v.Hist != nil && v.Count != 0 {
		kind = kindBoth
	}
	e.uint(uint64(kind))
	if v.Hist != nil {
		e.body = v.Hist.AppendBinary(e.body)
	}
	if kind != KindHistogram {
		e.int(v.Count)
	}
}

func (e *encoder) labels(l Labels) {
	n := 0
	for range l.All() {
		n++
	}
	e.uint(uint64(n))
	for name, value := range l.All() {
		e.text(name)
		e.text(value)
	}
}

func (e *encoder) arrivals(a Arrivals) {
	for _, v := range [...]int64{a.Planned, a.Sent, a.Succeeded, a.Failed, a.InFlight} {
		e.int(v)
	}
	e.uint(uint64(len(a.NotSent)))
	for _, cause := range slices.Sorted(maps.Keys(a.NotSent)) {
		e.text(string(cause))
		e.int(a.NotSent[cause])
	}
	e.uint(uint64(len(a.Oldest)))
	for _, step := range slices.Sorted(maps.Keys(a.Oldest)) {
		e.text(step)
		e.int(int64(a.Oldest[step]))
	}
}

// Compare orders arrival keys.
func (k ArrivalKey) Compare(o ArrivalKey) int {
	return cmp.Or(strings.Compare(k.Phase, o.Phase), strings.Compare(k.Flow, o.Flow))
}
