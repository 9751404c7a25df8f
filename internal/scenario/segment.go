package scenario

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
)

// Segment is one piece of a rate or users profile. Rates are arrivals per second, users are numbers of
// users; both already scaled by the environment's load. Between its ends the height is linear, unless Arc
// or Stamps says otherwise.
type Segment struct {
	Kind  string        `json:"kind"` // hold | ramp | steps | burst | wave | chaos | replay, as written, or search
	From  float64       `json:"from"`
	To    float64       `json:"to"`
	Start time.Duration `json:"start"` // phase time
	For   time.Duration `json:"for"`
	// Before and Through are the integral of the rate from the phase's start to this segment's start
	// and end, computed once here so that no two machines can round differently.
	Before  float64 `json:"before,omitempty"`
	Through float64 `json:"through,omitempty"`
	Arc     *Arc    `json:"arc,omitempty"`    // part of a wave
	Stamps  *Stamps `json:"stamps,omitempty"` // recorded arrivals
}

// Shape is one element of a profile as it is written in the scenario: one segment or several.
type Shape struct {
	Kind     string `json:"kind"`
	Text     string `json:"text"`     // in words, with the heights of the environment
	Segments int    `json:"segments"` // how many
}

// Arc is a stretch of a wave on which its height goes one way: up from its foot, where it is lowest, or
// down to it. The foot is the wave's lowest point, or where it touches zero if it is cut off there.
type Arc struct {
	Low       float64       `json:"low"`       // height at the foot
	Amplitude float64       `json:"amplitude"` // of the wave
	Cos       float64       `json:"cos"`       // cosine of the angle between the wave's lowest point and the foot
	Period    time.Duration `json:"period"`
	Falling   bool          `json:"falling,omitempty"`
	Foot      time.Duration `json:"foot,omitempty"` // time between the foot and the end of the segment that is nearer to it
}

// turn is the full angle.
const turn = 2 * math.Pi

// angle converts a time.
func (a *Arc) angle(d time.Duration) float64 {
	return float64(turn * float64(float64(d)/float64(a.Period)))
}

// Height returns the height at a distance from the foot that is at most half a period.
func (a *Arc) Height(d time.Duration) float64 {
	height, _ := a.At(d)
	return height
}

// Integral returns the integral of the height over so much time from the foot on, which is at most half a
// period.
func (a *Arc) Integral(d time.Duration) float64 {
	_, integral := a.At(d)
	return integral
}

// At returns Height and Integral.
func (a *Arc) At(d time.Duration) (height, integral float64) {
	x := a.angle(d)
	q := float64(x * x)
	versine := float64(q * float64(series(q, &evenFactors)/2))             // 1 - cos x
	excess := float64(float64(q*x) * float64(series(q, &oddFactors)/6))    // x - sin x
	cos, sin := a.Cos, math.Sqrt(max(0, float64(1-float64(a.Cos*a.Cos))))  // of the foot's angle
	rise := float64(float64(cos*versine) + float64(sin*float64(x-excess))) // from the foot on
	area := float64(float64(cos*excess) + float64(sin*versine))            // below that
	per := float64(a.Amplitude * float64(a.Period.Seconds()/turn))         // of a radian
	return float64(a.Low + float64(a.Amplitude*rise)), float64(float64(a.Low*d.Seconds()) + float64(per*area))
}

// versine returns 1 - cos x for x from 0 to half a turn. The standard library's functions differ in their last
// bits between kinds of machines; series does not.
func versine(x float64) float64 {
	q := float64(x * x)
	return float64(q * float64(series(q, &evenFactors)/2))
}

// terms of a series are enough for the last bit or two for q up to 10, a little more than half a turn squared.
const terms = 16

// evenFactors and oddFactors are what each term of the series of a cosine and of a sine has more than the one
// before it, beginning with the second that is not constant.
var evenFactors, oddFactors = factors(2), factors(3)

func factors(n int) (out [terms]float64) {
	for i := range out {
		k := float64(n + 2*i + 2)
		out[i] = 1 / (k * (k - 1))
	}
	return out
}

// series returns 1 - f0 q + f0 f1 q^2 - ...
func series(q float64, f *[terms]float64) float64 {
	sum := 1.0
	for i := terms - 1; i >= 0; i-- {
		sum = float64(1 - float64(float64(q*sum)*f[i]))
	}
	return sum
}

// Stamps are recorded arrivals: each adds Each to the integral, so that arrival i of a phase without other
// segments comes at the i-th stamp when Each is 1.
type Stamps struct {
	At   []time.Duration // since the segment's start, in order
	Each float64
}

// stampsJSON is how Stamps are encoded: the gaps as variable-length numbers of nanoseconds.
type stampsJSON struct {
	Each float64 `json:"each"`
	Gaps string  `json:"gaps"`
}

// MarshalJSON implements json.Marshaler.
func (s Stamps) MarshalJSON() ([]byte, error) {
	var b []byte
	before := time.Duration(0)
	for _, at := range s.At {
		b = binary.AppendUvarint(b, uint64(at-before))
		before = at
	}
	return json.Marshal(stampsJSON{Each: s.Each, Gaps: base64.StdEncoding.EncodeToString(b)})
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *Stamps) UnmarshalJSON(data []byte) error {
	var j stampsJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	b, err := base64.StdEncoding.DecodeString(j.Gaps)
	if err != nil {
		return fmt.Errorf("stamps: %w", err)
	}
	*s = Stamps{Each: j.Each}
	at := time.Duration(0)
	for len(b) > 0 {
		gap, n := binary.Uvarint(b)
		if n <= 0 || gap > uint64(maxSpan) || at > maxSpan {
			return errors.New("stamps: damaged")
		}
		at += time.Duration(gap)
		s.At, b = append(s.At, at), b[n:]
	}
	return nil
}

// EachShape calls f for every shape of a profile with its segments.
func EachShape(shapes []Shape, segments []Segment, f func(Shape, []Segment)) {
	for _, s := range shapes {
		n := min(s.Segments, len(segments))
		f(s, segments[:n])
		segments = segments[n:]
	}
	for i, s := range segments { // of a plan that was not made from a file
		f(Shape{Kind: s.Kind, Segments: 1}, segments[i:i+1])
	}
}

// whole takes off what rounding may have put between a number of arrivals and a whole one.
func whole(x float64) float64 {
	if n := math.Round(x); math.Abs(x-n) <= 1e-9+1e-14*math.Abs(x) {
		return n
	}
	return x
}
