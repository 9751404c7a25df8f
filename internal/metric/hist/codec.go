package hist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/bits"
)

// ErrCorrupt says that bytes are not an encoded histogram.
var ErrCorrupt = errors.New("not an encoded histogram")

// AppendBinary appends the canonical encoding: equal histograms have equal bytes. The layout, with
// numbers as uvarints unless noted:
//
//	scale byte | count | (nothing more if count is 0)
//	zero count | min, max zigzag | sum hi, lo | squares hi, mid, lo
//	positive buckets | negative buckets
//
// where buckets are their number, then for each the gap to the one before (the first: the distance
// from the lowest possible index) and its count. When there are values beyond longest, wide is added to
// the scale, and they follow as a histogram of their own.
func (h *Histogram) AppendBinary(b []byte) []byte {
	if h.large == nil || h.large.Empty() {
		return h.append(b, Scale)
	}
	return h.large.append(h.append(b, Scale|wide), Scale)
}

// wide marks the scale of a histogram that is followed by that of its large values.
const wide = 0x80

func (h *Histogram) append(b []byte, scale byte) []byte {
	b = append(b, scale)
	b = binary.AppendUvarint(b, h.count)
	if h.count == 0 {
		return b
	}
	b = binary.AppendUvarint(b, h.zero)
	b = binary.AppendVarint(b, h.min)
	b = binary.AppendVarint(b, h.max)
	for _, w := range [...]uint64{h.sum.hi, h.sum.lo, h.squares.hi, h.squares.mid, h.squares.lo} {
		b = binary.AppendUvarint(b, w)
	}
	b = h.positive.append(b)
	if h.negative == nil {
		return binary.AppendUvarint(b, 0)
	}
	return h.negative.append(b)
}

func (p *pages) append(b []byte) []byte {
	n := uint64(0)
	for range p.ascending {
		n++
	}
	b = binary.AppendUvarint(b, n)
	last := least
	for i, n := range p.ascending {
		b = binary.AppendUvarint(b, uint64(i-last))
		b = binary.AppendUvarint(b, n)
		last = i
	}
	return b
}

// UnmarshalBinary reads what AppendBinary wrote and nothing else: bytes that are not exactly the
// canonical encoding of a histogram are ErrCorrupt, and leave h empty.
func (h *Histogram) UnmarshalBinary(data []byte) error {
	rest, err := h.Decode(data)
	if err == nil && len(rest) != 0 {
		err = fmt.Errorf("%w: %d bytes too many", ErrCorrupt, len(rest))
	}
	if err != nil {
		*h = Histogram{}
	}
	return err
}

// Decode reads a histogram from the front of data and returns what follows it; h is empty after an
// error. Each octave of values takes at least two bytes of data and a page of one KiB in memory.
func (h *Histogram) Decode(data []byte) (rest []byte, err error) {
	if rest, err = h.decode(data); err != nil {
		*h = Histogram{}
	}
	return rest, err
}

func (h *Histogram) decode(data []byte) (rest []byte, err error) {
	*h = Histogram{}
	if len(data) == 0 || data[0]&^wide != Scale {
		return nil, fmt.Errorf("%w: its scale is not %d", ErrCorrupt, Scale)
	}
	if rest, err = h.decodePart(data[1:]); err != nil || data[0] == Scale {
		return rest, err
	}
	if len(rest) == 0 || rest[0] != Scale {
		return nil, fmt.Errorf("%w: its large values are missing", ErrCorrupt)
	}
	large := h.beyond()
	if rest, err = large.decodePart(rest[1:]); err != nil {
		return nil, err
	}
	if !large.isLarge() || h.count+large.count < h.count {
		return nil, fmt.Errorf("%w: its large values are not large", ErrCorrupt)
	}
	return rest, nil
}

// isLarge checks that h holds something, and only what does not belong among durations.
func (h *Histogram) isLarge() bool {
	least := index(uint64(math.Floor(longest / (1 << coarser) * 1e9)))
	nearest := octaves * perOctave
	for _, p := range []*pages{&h.positive, h.negative} {
		if p != nil {
			if i, _, found := p.extent(); found {
				nearest = min(nearest, i)
			}
		}
	}
	return h.count > 0 && h.zero == 0 && nearest >= least
}

// decodePart reads what follows the scale.
func (h *Histogram) decodePart(data []byte) (rest []byte, err error) {
	d := decoder{data: data}
	h.count = d.uvarint()
	if h.count > 0 {
		h.zero = d.uvarint()
		h.min, h.max = d.varint(), d.varint()
		h.sum.hi, h.sum.lo = d.uvarint(), d.uvarint()
		h.squares.hi, h.squares.mid, h.squares.lo = d.uvarint(), d.uvarint(), d.uvarint()
		total := d.buckets(&h.positive, h.zero)
		if len(d.data) > 0 && d.data[0] == 0 {
			d.data = d.data[1:] // none, as in all that counts durations
		} else {
			h.negative = &pages{}
			total = d.buckets(h.negative, total)
		}
		if !d.bad && total != h.count {
			return nil, fmt.Errorf("%w: buckets hold %d of %d values", ErrCorrupt, total, h.count)
		}
	}
	if d.bad {
		return nil, fmt.Errorf("%w: it is cut short or a number in it is impossible", ErrCorrupt)
	}
	if !h.consistent() {
		return nil, fmt.Errorf("%w: its parts contradict each other", ErrCorrupt)
	}
	return d.data, nil
}

// consistent checks that the extremes lie in the outermost buckets.
func (h *Histogram) consistent() bool {
	if h.count == 0 {
		return true
	}
	lowest, highest, above := h.positive.extent()
	var nearest, farthest int
	below := false
	if h.negative != nil {
		nearest, farthest, below = h.negative.extent()
	}
	var minFits, maxFits bool
	switch {
	case below:
		minFits = h.min < 0 && index(magnitude(h.min)) == farthest
	case h.zero > 0:
		minFits = h.min == 0
	default:
		minFits = h.min > 0 && index(uint64(h.min)) == lowest
	}
	switch {
	case above:
		maxFits = h.max > 0 && index(uint64(h.max)) == highest
	case h.zero > 0:
		maxFits = h.max == 0
	default:
		maxFits = h.max < 0 && index(magnitude(h.max)) == nearest
	}
	return minFits && maxFits && h.min <= h.max && h.sumsPossible()
}

// sumsPossible checks the sums against the extremes and against each other: what no values can have
// would make a mean beyond the maximum, or the root of a negative number.
func (h *Histogram) sumsPossible() bool {
	if h.min >= 0 && h.sum.hi == 0 && h.squares.hi == 0 && h.squares.mid == 0 {
		return h.smallSumsPossible()
	}
	return h.exactSumsPossible()
}

// exactSumsPossible is sumsPossible for any sums.
func (h *Histogram) exactSumsPossible() bool {
	n, s := new(big.Int).SetUint64(h.count), h.sum.big()
	least := new(big.Int).Mul(n, big.NewInt(h.min))
	most := new(big.Int).Mul(n, big.NewInt(h.max))
	if s.Cmp(least) < 0 || s.Cmp(most) > 0 {
		return false
	}
	return n.Mul(n, h.squares.big()).Cmp(s.Mul(s, s)) >= 0
}

// smallSumsPossible is sumsPossible for what nearly every histogram holds, without arbitrary precision.
func (h *Histogram) smallSumsPossible() bool {
	n, sum, squares := h.count, h.sum.lo, h.squares.lo
	leastHi, leastLo := bits.Mul64(n, uint64(h.min))
	mostHi, mostLo := bits.Mul64(n, uint64(h.max))
	if leastHi > 0 || leastLo > sum || mostHi == 0 && mostLo < sum {
		return false
	}
	meanHi, meanLo := bits.Mul64(sum, sum)
	hi, lo := bits.Mul64(n, squares)
	return hi > meanHi || hi == meanHi && lo >= meanLo
}

// decoder reads numbers off the front of data; after the first that is not there it only says bad.
type decoder struct {
	data []byte
	bad  bool
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.data)
	if n <= 0 || (n > 1 && d.data[n-1] == 0) { // a last byte of 0 is a longer form than needed
		d.bad = true
		d.data = nil
		return 0
	}
	d.data = d.data[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.data)
	if n <= 0 || (n > 1 && d.data[n-1] == 0) { // a last byte of 0 is a longer form than needed
		d.bad = true
		d.data = nil
		return 0
	}
	d.data = d.data[n:]
	return v
}

// buckets reads one list into p and returns total plus what it holds.
func (d *decoder) buckets(p *pages, total uint64) uint64 {
	at := uint64(0)
	for n, first := d.uvarint(), true; n > 0 && !d.bad; n, first = n-1, false {
		gap, count := d.uvarint(), d.uvarint()
		if gap >= octaves*perOctave || count == 0 || (gap == 0 && !first) {
			d.bad = true
			break
		}
		at += gap
		if at >= octaves*perOctave || total+count < total {
			d.bad = true
			break
		}
		p.add(int(at)+leastOctave*perOctave, count)
		total += count
	}
	return total
}
