package scenario

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// maxSegments bounds the segments of one phase, all of which every worker holds.
const maxSegments = 100_000

// profile collects the segments of one phase.
type profile struct {
	loader   *loader
	phase    *Phase
	rate     bool                         // else users
	load     float64                      // of the environment
	scale    func(height float64) float64 // by the environment
	unit     func(height float64) string  // renders a height
	sum      float64                      // the integral so far
	segments []Segment                    // so far
	shapes   []Shape                      // so far
}

// shapeF is a shape as it is written, heights of rates and users alike. Exactly one field is set.
type shapeF struct {
	hold   *holdF
	ramp   *rampF
	steps  *stepsF
	burst  *burstF
	wave   *waveF
	chaos  *chaosF
	replay *ReplayF
	at     pos
}

// height is a rate or a number of users with its place.
type height struct {
	value float64
	at    pos
}

type holdF struct {
	at  height
	len time.Duration
}

type rampF struct {
	from, to height
	len      time.Duration
}

type stepsF struct {
	from, to, by height
	every        time.Duration
}

type burstF struct {
	base, peak         height
	length, every, len time.Duration
	lengthAt           pos
}

type waveF struct {
	mid, amplitude height
	period, len    time.Duration
	periodAt       pos
}

type chaosF struct {
	least, most height
	every, len  time.Duration
}

// add appends a shape; what is wrong with it is reported.
func (p *profile) add(s shapeF) {
	n, start := len(p.segments), p.phase.Length
	var kind, text string
	switch {
	case s.hold != nil:
		h := p.scale(s.hold.at.value)
		kind, text = "hold", fmt.Sprintf("%s for %s", p.unit(h), s.hold.len)
		p.line(kind, h, h, s.hold.len)
	case s.ramp != nil:
		from, to := p.scale(s.ramp.from.value), p.scale(s.ramp.to.value)
		kind, text = "ramp", fmt.Sprintf("%s to %s in %s", p.unit(from), p.unit(to), s.ramp.len)
		p.line(kind, from, to, s.ramp.len)
	case s.steps != nil:
		kind, text = "steps", p.steps(*s.steps)
	case s.burst != nil:
		kind, text = "burst", p.burst(*s.burst)
	case s.wave != nil:
		kind, text = "wave", p.wave(*s.wave)
	case s.chaos != nil:
		kind, text = "chaos", p.chaos(*s.chaos)
	case s.replay != nil:
		kind, text = "replay", p.replay(*s.replay)
	default:
		return
	}
	if len(p.segments) > maxSegments {
		p.loader.fail(s.at, "phase %s has more than %d pieces: let the heights change less often", p.phase.Name, maxSegments)
		p.segments = p.segments[:n]
	}
	if p.phase.Length > maxSpan {
		p.loader.fail(s.at, "phase %s lasts longer than %s", p.phase.Name, maxSpan)
		p.segments, p.phase.Length = p.segments[:n], start
	}
	p.shapes = append(p.shapes, Shape{Kind: kind, Text: text, Segments: len(p.segments) - n})
}

// room reports whether so many more segments may be added. If not, there will be one too many, so that it is
// refused.
func (p *profile) room(pieces float64) bool {
	if float64(len(p.segments))+pieces <= maxSegments {
		return true
	}
	p.segments = append(p.segments, make([]Segment, max(0, maxSegments+1-len(p.segments)))...)
	return false
}

// put appends a segment over which the integral grows by so much.
func (p *profile) put(s Segment, grows float64) {
	if p.phase.Length > maxSpan {
		return // it is refused anyway
	}
	s.Start = p.phase.Length
	if p.rate {
		s.Before = p.sum
		p.sum = whole(float64(p.sum + grows))
		s.Through = p.sum
	}
	p.phase.Length += s.For
	p.segments = append(p.segments, s)
}

// line appends a segment whose height changes evenly, with every product rounded by itself, so that no
// machine that fuses multiplication and addition can differ.
func (p *profile) line(kind string, from, to float64, length time.Duration) {
	if length <= 0 {
		return
	}
	mean := float64(float64(from+to) / 2)
	p.put(Segment{Kind: kind, From: from, To: to, For: length}, float64(mean*length.Seconds()))
}

// steps goes from one height to another in steps, the last of which ends there even if it is smaller.
func (p *profile) steps(f stepsF) string {
	from, to, by := p.scale(f.from.value), p.scale(f.to.value), f.by.value*p.load
	text := fmt.Sprintf("%s to %s in steps of %s every %s", p.unit(from), p.unit(to), p.unit(by), f.every)
	if f.by.value <= 0 {
		if f.by.at != (pos{}) { // else it is missing, which was said already
			p.loader.fail(f.by.at, "by must be above 0")
		}
		return text
	}
	if by == 0 { // an environment without load
		by = 1
	}
	n := math.Ceil(math.Abs(to-from)/by - 1e-9)
	if !p.room(n + 1) {
		return text
	}
	by = math.Copysign(by, to-from)
	for i := range int(n) {
		level := float64(from + float64(by*float64(i)))
		if !p.rate {
			level = math.Round(level)
		}
		p.line("steps", level, level, f.every)
	}
	p.line("steps", to, to, f.every)
	return text
}

// burst has a base that rises to a peak at the end of each period, so that the base can be seen first.
func (p *profile) burst(f burstF) string {
	base, peak := p.scale(f.base.value), p.scale(f.peak.value)
	text := fmt.Sprintf("%s with bursts of %s for %s every %s, for %s", p.unit(base), p.unit(peak), f.length, f.every, f.len)
	if f.length <= 0 || f.every <= 0 { // which was said already
		return text
	}
	if f.length >= f.every {
		p.loader.fail(f.lengthAt, "length must be below every, %s: between two bursts there is the base", f.every)
		return text
	}
	if !p.room(2 * (float64(f.len)/float64(f.every) + 1)) {
		return text
	}
	for left := f.len; left > 0; left -= f.every {
		p.line("burst", base, base, min(left, f.every-f.length))
		p.line("burst", peak, peak, min(left-(f.every-f.length), f.length))
	}
	return text
}

// chaos jumps to heights that the seed draws.
func (p *profile) chaos(f chaosF) string {
	least, most := p.scale(f.least.value), p.scale(f.most.value)
	text := fmt.Sprintf("%s to %s at random, another every %s, for %s", p.unit(least), p.unit(most), f.every, f.len)
	if f.least.value > f.most.value {
		p.loader.fail(f.least.at, "min is above max")
		return text
	}
	if f.every <= 0 || !p.room(float64(f.len)/float64(f.every)+1) {
		return text
	}
	draw := rand.NewPCG(p.loader.plan.Seed, named64(p.phase.Name, len(p.shapes)))
	for left := f.len; left > 0; left -= f.every {
		share := float64(draw.Uint64()>>11) / (1 << 53)
		level := float64(least + float64(float64(most-least)*share))
		if !p.rate {
			level = math.Round(level)
		}
		p.line("chaos", level, level, min(left, f.every))
	}
	return text
}

// named64 is a number for the n-th shape of a phase (FNV-1a).
func named64(phase string, n int) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(phase) {
		h = (h ^ uint64(phase[i])) * 1099511628211
	}
	return (h ^ uint64(n)) * 1099511628211
}

// wave swings around a middle, beginning there upwards; below zero it is cut off.
func (p *profile) wave(f waveF) string {
	mid, amplitude := f.mid.value*p.load, f.amplitude.value*p.load
	text := fmt.Sprintf("%s ± %s every %s, for %s", p.unit(mid), p.unit(amplitude), f.period, f.len)
	if amplitude == 0 {
		p.line("wave", mid, mid, f.len)
		return text
	}
	if f.period <= 0 { // which was said already
		return text
	}
	if f.period < minPeriod {
		p.loader.fail(f.periodAt, "a wave's period must be at least %s", minPeriod)
		return text
	}
	if !p.room(3 * (float64(f.len)/float64(f.period) + 2)) {
		return text
	}
	w := newWave(mid, amplitude, f.period)
	start := p.sum
	for at := time.Duration(0); at < f.len; {
		s := w.arc(at, f.len)
		if s.For <= 0 {
			break
		}
		grows := w.grows(s)
		if w.cut == 0 { // not cut off: the closed form has no sum whose rounding could grow
			grows = float64(float64(start+w.through(at+s.For)) - p.sum)
		}
		p.put(s, grows)
		at += s.For
	}
	return text
}

// minPeriod keeps a wave's arcs far longer than a nanosecond.
const minPeriod = time.Millisecond

// wave is a sine around a middle, cut off at zero.
type wave struct {
	mid, amplitude float64
	period         time.Duration
	cut            time.Duration // between the lowest point and where it touches zero; 0: it stays above
	low, cos       float64       // as in Arc
}

func newWave(mid, amplitude float64, period time.Duration) wave {
	w := wave{mid: mid, amplitude: amplitude, period: period, low: mid - amplitude, cos: 1}
	if w.low < 0 {
		w.low, w.cos = 0, mid/amplitude
		w.cut = time.Duration(math.Round(float64(period) * math.Acos(w.cos) / turn))
	}
	return w
}

// arc returns the segment that begins at a time since the wave's start, at most up to an end.
func (w wave) arc(at, end time.Duration) Segment {
	quarter := func(n int64) time.Duration { // where the n-th quarter ends, rounded; exact for whole periods
		return time.Duration(n/4)*w.period + time.Duration(math.Round(float64(w.period)*float64(n%4)/4))
	}
	n := 4 * int64(at/w.period)
	crest, trough := quarter(n+1), quarter(n+3)
	switch {
	case at < crest:
		return w.rising(at, min(end, crest), trough-w.period+w.cut)
	case at < trough-w.cut:
		return w.falling(at, min(end, trough-w.cut), trough-w.cut)
	case at < trough+w.cut:
		return Segment{Kind: "wave", For: min(end, trough+w.cut) - at}
	default:
		return w.rising(at, min(end, quarter(n+5)), trough+w.cut)
	}
}

func (w wave) rising(from, to, foot time.Duration) Segment {
	a := &Arc{Low: w.low, Amplitude: w.amplitude, Cos: w.cos, Period: w.period, Foot: from - foot}
	return Segment{Kind: "wave", From: a.Height(from - foot), To: a.Height(to - foot), For: to - from, Arc: a}
}

func (w wave) falling(from, to, foot time.Duration) Segment {
	a := &Arc{Low: w.low, Amplitude: w.amplitude, Cos: w.cos, Period: w.period, Foot: foot - to, Falling: true}
	return Segment{Kind: "wave", From: a.Height(foot - from), To: a.Height(foot - to), For: to - from, Arc: a}
}

// grows returns the integral over a segment of the wave.
func (w wave) grows(s Segment) float64 {
	if s.Arc == nil {
		return 0
	}
	return float64(s.Arc.Integral(s.Arc.Foot+s.For) - s.Arc.Integral(s.Arc.Foot))
}

// through returns the integral of a wave that is not cut off from its start on.
func (w wave) through(at time.Duration) float64 {
	rest := at % w.period
	swing := 0.0
	switch {
	case rest == 0:
	case w.period%4 == 0 && (rest == w.period/4 || rest == w.period/4*3):
		swing = 1
	case w.period%2 == 0 && rest == w.period/2:
		swing = 2
	default:
		rest = min(rest, w.period-rest) // the second half mirrors the first
		swing = versine(float64(turn * float64(float64(rest)/float64(w.period))))
	}
	per := float64(w.amplitude * float64(w.period.Seconds()/turn))
	return float64(float64(w.mid*at.Seconds()) + float64(per*swing))
}

// shape tells what was written.
func (s RateSegmentF) shape() shapeF {
	h := func(r Rate) height { return height{r.Value, r.At} }
	out := shapeF{replay: s.Replay, at: s.At}
	switch {
	case s.Hold != nil:
		out.hold = &holdF{h(s.Hold.At), s.Hold.For.Value}
	case s.Ramp != nil:
		out.ramp = &rampF{h(s.Ramp.From), h(s.Ramp.To), s.Ramp.For.Value}
	case s.Steps != nil:
		out.steps = &stepsF{h(s.Steps.From), h(s.Steps.To), h(s.Steps.By), s.Steps.Every.Value}
	case s.Burst != nil:
		b := s.Burst
		out.burst = &burstF{h(b.Base), h(b.Peak), b.Length.Value, b.Every.Value, b.For.Value, b.Length.At}
	case s.Wave != nil:
		w := s.Wave
		out.wave = &waveF{h(w.Mid), h(w.Amplitude), w.Period.Value, w.For.Value, w.Period.At}
	case s.Chaos != nil:
		out.chaos = &chaosF{h(s.Chaos.Min), h(s.Chaos.Max), s.Chaos.Every.Value, s.Chaos.For.Value}
	}
	return out
}

// shape tells what was written.
func (s UserSegmentF) shape() shapeF {
	h := func(c Count) height { return height{float64(c.Value), c.At} }
	out := shapeF{replay: s.Replay, at: s.At}
	switch {
	case s.Hold != nil:
		out.hold = &holdF{h(s.Hold.At), s.Hold.For.Value}
	case s.Ramp != nil:
		out.ramp = &rampF{h(s.Ramp.From), h(s.Ramp.To), s.Ramp.For.Value}
	case s.Steps != nil:
		out.steps = &stepsF{h(s.Steps.From), h(s.Steps.To), h(s.Steps.By), s.Steps.Every.Value}
	case s.Burst != nil:
		b := s.Burst
		out.burst = &burstF{h(b.Base), h(b.Peak), b.Length.Value, b.Every.Value, b.For.Value, b.Length.At}
	case s.Wave != nil:
		w := s.Wave
		out.wave = &waveF{h(w.Mid), h(w.Amplitude), w.Period.Value, w.For.Value, w.Period.At}
	case s.Chaos != nil:
		out.chaos = &chaosF{h(s.Chaos.Min), h(s.Chaos.Max), s.Chaos.Every.Value, s.Chaos.For.Value}
	}
	return out
}
