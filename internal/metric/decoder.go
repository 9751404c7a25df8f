package metric

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	"proofload/internal/metric/hist"
)

// decoder reads a body; after the first thing that is not there it only says bad. It takes the one
// canonical form of each content and no other: shortest numbers, keys in order, and a table of texts
// in the order of their first use.
type decoder struct {
	data  []byte
	table []string
	used  int // texts of the table that the body has used
	bad   bool
	room  int // bytes of memory that may still be taken; 0: no bound
	// rich says that there are exemplars, of which so many were read.
	rich      bool
	exemplars int
}

func newDecoder(magic string, data []byte) (*decoder, error) { return newBoundDecoder(magic, data, 0) }

// newBoundDecoder returns a decoder that takes about room bytes of memory at most; 0 is no bound.
func newBoundDecoder(magic string, data []byte, room int) (*decoder, error) {
	if len(data) < len(magic)+4 {
		return nil, fmt.Errorf("%w: not of kind %s", ErrCorrupt, magic)
	}
	rich := string(data[:len(magic)]) == richer(magic)
	if !rich && string(data[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: not of kind %s", ErrCorrupt, magic)
	}
	content, check := data[:len(data)-4], binary.LittleEndian.Uint32(data[len(data)-4:])
	if crc32.Checksum(content, castagnoli) != check {
		return nil, fmt.Errorf("%w: wrong checksum", ErrCorrupt)
	}
	d := &decoder{data: content[len(magic):], room: room, rich: rich}
	known := map[string]bool{}
	for n := d.count(1); n > 0 && !d.bad; n-- {
		size := d.count(1)
		if d.bad {
			break
		}
		if d.take(entryFootprint + size); d.bad {
			break
		}
		text := string(d.data[:size])
		d.data = d.data[size:]
		if known[text] {
			d.fail()
			break
		}
		known[text] = true
		d.table = append(d.table, text)
	}
	return d, nil
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.data)
	if n <= 0 || (n > 1 && d.data[n-1] == 0) {
		d.fail()
		return 0
	}
	d.data = d.data[n:]
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.data)
	if n <= 0 || (n > 1 && d.data[n-1] == 0) {
		d.fail()
		return 0
	}
	d.data = d.data[n:]
	return v
}

// total reads a number that is never negative.
func (d *decoder) total() int64 {
	v := d.int()
	if v < 0 {
		d.fail()
	}
	return v
}

func (d *decoder) fail() { d.bad, d.data = true, nil }

// count reads a number of things of at least size bytes each: more than fit into what is left is a
// lie that must not lead to an allocation.
func (d *decoder) count(size int) int {
	n := d.uint()
	if n > uint64(len(d.data)/size) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) text() string {
	place := d.uint()
	if place > uint64(d.used) || place >= uint64(len(d.table)) {
		d.fail()
		return ""
	}
	if place == uint64(d.used) {
		d.used++
	}
	return d.table[place]
}

func (d *decoder) end() error {
	switch {
	case d.bad:
		return fmt.Errorf("%w: cut short or impossible", ErrCorrupt)
	case len(d.data) != 0:
		return fmt.Errorf("%w: %d bytes too many", ErrCorrupt, len(d.data))
	case d.rich && d.exemplars == 0:
		return fmt.Errorf("%w: exemplars are announced and not there", ErrCorrupt)
	case d.used != len(d.table):
		return fmt.Errorf("%w: texts that nothing uses", ErrCorrupt)
	}
	return nil
}

// list reads a number of things of at least size bytes each, whose keys must ascend.
func list[K any](d *decoder, size int, compare func(a, b K) int, read func() K) {
	var last K
	for i := range d.count(size) {
		d.take(entryFootprint)
		key := read()
		if d.bad {
			return
		}
		if i > 0 && compare(last, key) >= 0 {
			d.fail()
			return
		}
		last = key
	}
}

func (d *decoder) second() Second {
	s := NewSecond(d.int())
	s.Paused = time.Duration(d.int())
	s.Health = d.health()
	list(d, 1, strings.Compare, func() string {
		s.Causes = append(s.Causes, d.text())
		return s.Causes[len(s.Causes)-1]
	})
	list(d, 4, Key.Compare, func() Key {
		key := Key{Metric: d.text(), Labels: d.labels()}
		s.Series[key] = d.value()
		return key
	})
	list(d, 3, strings.Compare, func() string {
		name := d.text()
		s.Infos[name] = Info{Category: d.text(), Unit: d.text()}
		return name
	})
	list(d, 9, ArrivalKey.Compare, func() ArrivalKey {
		key := ArrivalKey{Phase: d.text(), Flow: d.text()}
		s.Arrivals[key] = d.arrivals()
		return key
	})
	list(d, 2, strings.Compare, func() string {
		phase := d.text()
		s.peak(phase, d.total())
		return phase
	})
	if d.rich {
		d.slowest(&s)
	}
	return s
}

func (d *decoder) health() Health {
	v := d.uint()
	if v < uint64(HealthValid) || v > uint64(HealthInvalid) {
		d.fail()
		return 0
	}
	return Health(v)
}

func (d *decoder) value() Value {
	kind := d.uint()
	if kind < uint64(KindHistogram) || kind > uint64(kindBoth) {
		d.fail()
		return Value{}
	}
	var v Value
	if Kind(kind) != KindCounter && !d.bad {
		v.Hist = d.hist()
		d.take(v.Hist.Footprint())
	}
	if Kind(kind) != KindHistogram {
		v.Count = d.total()
		if Kind(kind) == kindBoth && v.Count == 0 {
			d.fail()
		}
	}
	return v
}

// entryFootprint is about what an entry of a list or of the table takes besides what it names.
const entryFootprint = 128

// take spends room, if there is a bound; one that is spent fails the decoding.
func (d *decoder) take(bytes int) {
	if d.room == 0 {
		return
	}
	if d.room -= bytes; d.room <= 0 {
		d.room = -1
		d.fail()
	}
}

func (d *decoder) hist() *hist.Histogram {
	h := hist.New()
	rest, err := h.Decode(d.data)
	if err != nil {
		d.fail()
		return h
	}
	d.data = rest
	return h
}

func (d *decoder) labels() Labels {
	var pairs strings.Builder
	list(d, 2, strings.Compare, func() string {
		name, value := d.text(), d.text()
		if value == "" || strings.IndexByte(name, 0) >= 0 || strings.IndexByte(value, 0) >= 0 {
			d.fail()
		}
		pairs.WriteString(name)
		pairs.WriteByte(0)
		pairs.WriteString(value)
		pairs.WriteByte(0)
		return name
	})
	return Labels{pairs.String()}
}

func (d *decoder) arrivals() *Arrivals {
	a := &Arrivals{Planned: d.total(), Sent: d.total(), Succeeded: d.total(), Failed: d.total(), InFlight: d.total()}
	list(d, 2, strings.Compare, func() string {
		cause := d.text()
		if a.NotSent == nil {
			a.NotSent = map[Cause]int64{}
		}
		a.NotSent[Cause(cause)] = d.total()
		return cause
	})
	list(d, 2, strings.Compare, func() string {
		step := d.text()
		if a.Oldest == nil {
			a.Oldest = map[string]time.Duration{}
		}
		a.Oldest[step] = time.Duration(d.total())
		return step
	})
	return a
}
