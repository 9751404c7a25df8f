package schedule

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"pgregory.net/rapid"

	"proofload/internal/scenario"
)

// recorded is the files that shapes replay.
type recorded map[string]string

// shaped is the plan of a phase with some shapes, each as in a scenario.
func shaped(t interface {
	Helper()
	Fatal(args ...any)
}, files recorded, rate string, shapes ...string,
) *scenario.Plan {
	t.Helper()
	var text strings.Builder
	text.WriteString("version: 1\nname: s\nseed: 7\ntarget: http://127.0.0.1:1\nflows: {f: [{step: s, http: {method: GET, path: /}}]}\nphases:\n  - name: p\n    flow: f\n    " + rate + ":\n")
	for _, s := range shapes {
		text.WriteString("      - " + s + "\n")
	}
	tree := fstest.MapFS{"s.yaml": {Data: []byte(text.String())}}
	for name, content := range files {
		tree[name] = &fstest.MapFile{Data: []byte(content)}
	}
	plan, err := scenario.Load(tree, "s.yaml", scenario.Options{})
	if err != nil {
		t.Fatal(err, text.String())
	}
	data, err := plan.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := scenario.DecodePlan(data) // what a worker has
	if err != nil {
		t.Fatal(err)
	}
	return back
}

// TestShapeCounts: what a shape plans is what its arithmetic says, to the arrival, and all of it is fired, in
// order and within the shape.
func TestShapeCounts(t *testing.T) {
	tests := []struct {
		name   string
		shapes []string
		files  recorded
		want   []int64
	}{
		{name: "hold", shapes: []string{"hold: {at: 100/s, for: 10s}"}, want: []int64{1000}},
		{name: "hold of thirds", shapes: []string{"hold: {at: 100/m, for: 6s}", "hold: {at: 100/m, for: 6s}"}, want: []int64{10, 10}},
		{name: "ramp", shapes: []string{"ramp: {from: 0/s, to: 100/s, for: 30s}"}, want: []int64{1500}},
		{name: "steps up", shapes: []string{"steps: {from: 100/s, to: 300/s, by: 100/s, every: 2s}"}, want: []int64{1200}},
		{name: "steps down", shapes: []string{"steps: {from: 300/s, to: 100/s, by: 100/s, every: 2s}"}, want: []int64{1200}},
		{name: "a last step that is smaller", shapes: []string{"steps: {from: 100/s, to: 250/s, by: 100/s, every: 2s}"}, want: []int64{1100}},
		{name: "steps that are none", shapes: []string{"steps: {from: 100/s, to: 100/s, by: 10/s, every: 2s}"}, want: []int64{200}},
		{name: "steps of a tenth", shapes: []string{"steps: {from: 0.1/s, to: 1/s, by: 0.1/s, every: 10s}"}, want: []int64{55}},
		{name: "bursts", shapes: []string{"burst: {base: 100/s, peak: 500/s, length: 1s, every: 5s, for: 20s}"}, want: []int64{4 * (400 + 500)}},
		{name: "a burst that is cut short", shapes: []string{"burst: {base: 100/s, peak: 500/s, length: 2s, every: 5s, for: 9s}"}, want: []int64{300 + 1000 + 300 + 500}},
		{name: "whole waves", shapes: []string{"wave: {mid: 400/s, amplitude: 200/s, period: 7s, for: 21s}"}, want: []int64{8400}},
		{name: "half a wave", shapes: []string{"wave: {mid: 400/s, amplitude: 200/s, period: 8s, for: 4s}"}, want: []int64{int64(math.Ceil(1600 + 200*8/math.Pi))}},
		{name: "a third of a wave", shapes: []string{"wave: {mid: 100/s, amplitude: 50/s, period: 9s, for: 3s}"}, want: []int64{int64(math.Ceil(300 + 50*9/(2*math.Pi)*1.5))}},
		{name: "a wave down to zero", shapes: []string{"wave: {mid: 100/s, amplitude: 100/s, period: 5s, for: 10s}"}, want: []int64{1000}},
		// The positive half of a sine around zero has the area amplitude x period / pi.
		{name: "a wave that is cut off in the middle", shapes: []string{"wave: {mid: 0/s, amplitude: 100/s, period: 5s, for: 10s}"}, want: []int64{int64(math.Ceil(2 * 100 * 5 / math.Pi))}},
		{name: "a wave that is cut off", shapes: []string{"wave: {mid: 50/s, amplitude: 100/s, period: 6s, for: 60s}"}, want: []int64{int64(math.Ceil(10 * cutWave(50, 100, 6)))}},
		{name: "a wave that is none", shapes: []string{"wave: {mid: 50/s, amplitude: 0/s, period: 6s, for: 60s}"}, want: []int64{3000}},
		{name: "rates", shapes: []string{"replay: {csv: r.csv}"}, files: recorded{"r.csv": "time,rate\n0,100\n2,30/m\n4,300/s\n5,0\n6,10\n"}, want: []int64{200 + 1 + 300 + 10}},
		{name: "rates, faster and higher", shapes: []string{"replay: {csv: r.csv, speed: 2, scale: 3}"}, files: recorded{"r.csv": "at_s,per_s\n0,100\n2,50\n"}, want: []int64{300 + 150}},
		{name: "rates that begin later", shapes: []string{"replay: {csv: r.csv}"}, files: recorded{"r.csv": "time,rate\n5s,100\n7s,50\n"}, want: []int64{300}},
		{name: "rates by date", shapes: []string{"replay: {csv: r.csv}"}, files: recorded{"r.csv": "time,rate\n2026-03-01T12:00:00Z,100\n2026-03-01T12:00:02+00:00,50\n"}, want: []int64{300}},
		{name: "arrivals", shapes: []string{"replay: {csv: a.csv}"}, files: recorded{"a.csv": "time\n0.5\n0.25\n0.75\n0.75\n3\n"}, want: []int64{5}},
		{name: "one arrival", shapes: []string{"replay: {csv: a.csv}"}, files: recorded{"a.csv": "at_s\n1\n"}, want: []int64{1}},
		{name: "arrivals by date", shapes: []string{"replay: {csv: a.csv}"}, files: recorded{"a.csv": "time\n1772366400.123456789\n1772366401.5\n"}, want: []int64{2}},
		{name: "a third of the arrivals", shapes: []string{"replay: {csv: a.csv, scale: 0.25}"}, files: recorded{"a.csv": "time\n0\n1\n2\n3\n4\n"}, want: []int64{2}},
		{name: "arrivals behind a part of one", shapes: []string{"hold: {at: 0.3/s, for: 1s}", "replay: {csv: a.csv}", "hold: {at: 1/s, for: 3s}"}, files: recorded{"a.csv": "time\n0\n1\n2\n"}, want: []int64{1, 3, 3}},
		{name: "all of them", shapes: []string{
			"hold: {at: 10/s, for: 1s}", "ramp: {from: 10/s, to: 30/s, for: 1s}", "steps: {from: 10/s, to: 20/s, by: 10/s, every: 1s}",
			"burst: {base: 10/s, peak: 30/s, length: 1s, every: 2s, for: 2s}", "wave: {mid: 10/s, amplitude: 5/s, period: 1s, for: 1s}",
		}, want: []int64{10, 20, 30, 40, 10}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plan := shaped(t, tt.files, "rate", tt.shapes...)
			p := &plan.Phases[0]
			if got := Planned(plan.Seed, p); !slices.Equal(got, tt.want) {
				t.Errorf("planned %v, want %v", got, tt.want)
			}
			s := NewStream(plan.Seed, p)
			s.Set(NewCurve(p.Rate, nil), whole)
			got := all(s)
			i := 0
			end := time.Duration(0)
			scenario.EachShape(p.Shapes, p.Rate, func(_ scenario.Shape, of []scenario.Segment) {
				from := end
				end = of[len(of)-1].Start + of[len(of)-1].For
				n := int64(0)
				for ; len(got) > 0 && got[0].At < end; got = got[1:] {
					if got[0].At < from {
						t.Errorf("an arrival at %v is of an earlier shape than %d, which begins at %v", got[0].At, i, from)
					}
					n++
				}
				if n != tt.want[i] {
					t.Errorf("%d arrivals in shape %d, want %d", n, i, tt.want[i])
				}
				i++
			})
			if len(got) > 0 {
				t.Errorf("%d arrivals beyond the end", len(got))
			}
		})
	}
}

// cutWave is the area of one period of a sine around mid, cut off at zero.
func cutWave(mid, amplitude, period float64) float64 {
	cut := math.Acos(mid / amplitude) // half of the angle at which it is cut off
	return period / (2 * math.Pi) * (mid*(2*math.Pi-2*cut) + 2*amplitude*math.Sin(cut))
}

// TestWaveInverse: the arrivals of a wave come where its integral, computed independently, says, to 1 ns.
func TestWaveInverse(t *testing.T) {
	for _, wave := range []struct{ mid, amplitude, period, length float64 }{
		{400, 200, 120, 300}, {100, 100, 5, 10}, {900, 850, 3600, 200}, {5000, 4999, 1, 3},
	} {
		plan := shaped(t, nil, "rate", fmt.Sprintf("wave: {mid: %g/s, amplitude: %g/s, period: %gs, for: %gs}", wave.mid, wave.amplitude, wave.period, wave.length))
		c := NewCurve(plan.Phases[0].Rate, nil)
		omega := 2 * math.Pi / wave.period
		at := 0.0
		for i := range c.Count() {
			// Newton's method from the arrival before, with the functions of the standard library.
			for range 50 {
				f := wave.mid*at + wave.amplitude/omega*2*math.Pow(math.Sin(omega*at/2), 2) - float64(i)
				rate := wave.mid + wave.amplitude*math.Sin(omega*at)
				step := f / max(rate, wave.mid/1e3)
				at -= step
				if math.Abs(step) < 1e-13 {
					break
				}
			}
			got, ok := c.At(float64(i))
			if d := got.Seconds() - at; !ok || math.Abs(d) > 2.5e-9 {
				t.Fatalf("%+v: arrival %d is at %v, want %.10f s", wave, i, got, at)
			}
		}
	}
}

// TestRecordedArrivalsAreExact: arrivals come at the nanosecond at which they were recorded.
func TestRecordedArrivalsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stamps := rapid.SliceOfN(rapid.Int64Range(0, 5e9), 1, 300).Draw(t, "stamps")
		var text strings.Builder
		text.WriteString("time\n")
		for _, s := range stamps {
			fmt.Fprintf(&text, "%d.%09d\n", s/1e9, s%1e9)
		}
		slices.Sort(stamps)
		plan := shaped(t, recorded{"a.csv": text.String()}, "rate", "ramp: {from: 0/s, to: 3.7/s, for: 2s}", "replay: {csv: a.csv}")
		p := &plan.Phases[0]
		s := NewStream(plan.Seed, p)
		s.Set(NewCurve(p.Rate, nil), whole)
		got := all(s)[4:] // 3.7 arrivals of the ramp
		if len(got) != len(stamps) {
			t.Fatalf("%d arrivals, want %d", len(got), len(stamps))
		}
		for i, a := range got {
			if a.At != 2*time.Second+time.Duration(stamps[i]) {
				t.Fatalf("arrival %d comes at %v, want %v", i, a.At-2*time.Second, time.Duration(stamps[i]))
			}
		}
	})
}

// TestScaledRecording: thinned out, every n-th arrival stays where it was; doubled, another one comes between
// two.
func TestScaledRecording(t *testing.T) {
	var text strings.Builder
	text.WriteString("time\n")
	for i := range 10 {
		fmt.Fprintf(&text, "%d\n", i*i)
	}
	for scale, want := range map[float64][]time.Duration{
		0.5: {0, 4 * s, 16 * s, 36 * s, 64 * s},
		2:   {0, s / 2, s, 5 * s / 2, 4 * s},
	} {
		plan := shaped(t, recorded{"a.csv": text.String()}, "rate", fmt.Sprintf("replay: {csv: a.csv, scale: %g}", scale))
		p := &plan.Phases[0]
		stream := NewStream(plan.Seed, p)
		stream.Set(NewCurve(p.Rate, nil), whole)
		for i, a := range all(stream)[:5] {
			if d := a.At - want[i]; d < -1 || d > 1 {
				t.Errorf("scale %g: arrival %d comes at %v, want %v", scale, i, a.At, want[i])
			}
		}
	}
}

// drawShapes draws the shapes of a phase, with the files that they replay.
func drawShapes(t *rapid.T, kinds []string, users bool) (shapes []string, files recorded) {
	files = recorded{}
	height := func(name string) string {
		if users {
			return fmt.Sprint(rapid.IntRange(0, 60).Draw(t, name))
		}
		return fmt.Sprintf("%.4f/s", rapid.Float64Range(0, 500).Draw(t, name))
	}
	ms := func(name string, least int) int { return rapid.IntRange(least, 3000).Draw(t, name) }
	for i := range rapid.IntRange(1, 3).Draw(t, "shapes") {
		switch kind := rapid.SampledFrom(kinds).Draw(t, "kind"); kind {
		case "hold":
			shapes = append(shapes, fmt.Sprintf("hold: {at: %s, for: %dms}", height("at"), ms("for", 1)))
		case "ramp":
			shapes = append(shapes, fmt.Sprintf("ramp: {from: %s, to: %s, for: %dms}", height("from"), height("to"), ms("for", 1)))
		case "steps":
			by := map[bool]string{true: "7", false: "77.7/s"}[users]
			shapes = append(shapes, fmt.Sprintf("steps: {from: %s, to: %s, by: %s, every: %dms}", height("from"), height("to"), by, ms("every", 1)))
		case "burst":
			every := ms("every", 2)
			shapes = append(shapes, fmt.Sprintf("burst: {base: %s, peak: %s, length: %dms, every: %dms, for: %dms}", height("base"), height("peak"), rapid.IntRange(1, every-1).Draw(t, "length"), every, ms("for", 1)))
		case "wave":
			shapes = append(shapes, fmt.Sprintf("wave: {mid: %s, amplitude: %s, period: %dms, for: %dms}", height("mid"), height("amplitude"), ms("period", 3), ms("for", 1)))
		case "chaos":
			shapes = append(shapes, fmt.Sprintf("chaos: {min: 0%s, max: %s, every: %dms, for: %dms}", map[bool]string{false: "/s"}[users], height("max"), ms("every", 20), ms("for", 1)))
		case "replay":
			column := map[bool]string{true: "users", false: "rate"}[users]
			series := users || rapid.Bool().Draw(t, "series")
			var b strings.Builder
			at := 0
			for range rapid.IntRange(2, 40).Draw(t, "rows") {
				at += rapid.IntRange(1, 300).Draw(t, "gap")
				fmt.Fprintf(&b, "%g", float64(at)/1000)
				if series {
					fmt.Fprintf(&b, ",%s", strings.TrimSuffix(height("value"), "/s"))
				}
				b.WriteString("\n")
			}
			head := "time\n"
			if series {
				head = "time," + column + "\n"
			}
			name := fmt.Sprintf("f%d.csv", i)
			files[name] = head + b.String()
			shapes = append(shapes, fmt.Sprintf("replay: {csv: %s, speed: %g, scale: %g}", name, rapid.Float64Range(0.5, 4).Draw(t, "speed"), rapid.Float64Range(0.1, 3).Draw(t, "scale")))
		}
	}
	return shapes, files
}

// kinds is every shape.
var kinds = []string{"hold", "ramp", "steps", "burst", "wave", "chaos", "replay"}

// TestShapeOwnership: the arrivals of each shape are the same for one worker and for several, whatever the
// history of ownership, pauses and scale.
func TestShapeOwnership(t *testing.T) {
	for _, kind := range append(slices.Clone(kinds), "all") {
		t.Run(kind, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				of := []string{kind}
				if kind == "all" {
					of = kinds
				}
				shapes, files := drawShapes(t, of, false)
				plan := shaped(t, files, "rate", shapes...)
				p := plan.Phases[0]
				// Poisson is refused where the instants are given.
				if !slices.ContainsFunc(p.Rate, func(s scenario.Segment) bool { return s.Stamps != nil }) {
					p.Arrivals = rapid.SampledFrom([]string{"uniform", Poisson}).Draw(t, "arrivals")
				}
				ownership(t, &p)
			})
		})
	}
}

// TestShapeCurve: the curve of any shapes is monotone, and inverted to the nanosecond.
func TestShapeCurve(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shapes, files := drawShapes(t, kinds, false)
		plan := shaped(t, files, "rate", shapes...)
		c := NewCurve(plan.Phases[0].Rate, drawFactors(t))
		if plan.Phases[0].Length != c.Length() {
			t.Fatalf("the curve ends at %v, the phase at %v", c.Length(), plan.Phases[0].Length)
		}
		at := time.Duration(rapid.Int64Range(0, int64(c.Length())).Draw(t, "at"))
		before := c.Integral(at)
		for range 30 {
			at += time.Duration(rapid.Int64Range(0, int64(c.Length())/20+1).Draw(t, "step"))
			if now := c.Integral(at); now < before {
				t.Fatalf("the integral falls from %v to %v at %v", before, now, at)
			} else {
				before = now
			}
		}
		last := time.Duration(-1)
		for i := range c.Count() {
			at, ok := c.At(float64(i))
			if !ok || at < last || at >= c.Length() {
				t.Fatalf("arrival %d of %d is at %v, %v, after %v", i, c.Count(), at, ok, last)
			}
			last = at
		}
	})
}

// TestShapePlanned: what is planned by shape is what is fired in it, also of poisson.
func TestShapePlanned(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shapes, files := drawShapes(t, kinds[:6], false)
		plan := shaped(t, files, "rate", shapes...)
		p := &plan.Phases[0]
		p.Arrivals = rapid.SampledFrom([]string{"uniform", Poisson}).Draw(t, "arrivals")
		counts := Planned(plan.Seed, p)
		s := NewStream(plan.Seed, p)
		c := NewCurve(p.Rate, nil)
		s.Set(c, whole)
		var sum int64
		for _, n := range counts {
			sum += n
		}
		if n := int64(len(all(s))); n != sum {
			t.Fatalf("%d arrivals planned as %v", n, counts)
		}
	})
}

// TestShapeUsers: between two instants that Next names, the number of users is constant, whatever the shapes.
func TestShapeUsers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shapes, files := drawShapes(t, kinds, true)
		plan := shaped(t, files, "users", shapes...)
		checkUsersNext(t, NewUsers(plan.Phases[0].Users, drawFactors(t)))
	})
}

func TestShapeUsersActive(t *testing.T) {
	for _, tt := range []struct {
		shape string
		at    time.Duration
		want  int64
	}{
		{"steps: {from: 10, to: 45, by: 10, every: 1s}", 1500 * time.Millisecond, 20},
		{"steps: {from: 10, to: 45, by: 10, every: 1s}", 4500 * time.Millisecond, 45},
		{"burst: {base: 10, peak: 100, length: 1s, every: 3s, for: 6s}", 1900 * time.Millisecond, 10},
		{"burst: {base: 10, peak: 100, length: 1s, every: 3s, for: 6s}", 5 * s, 100},
		{"wave: {mid: 10, amplitude: 5, period: 4s, for: 8s}", 0, 10},
		{"wave: {mid: 10, amplitude: 5, period: 4s, for: 8s}", s, 15},
		{"wave: {mid: 10, amplitude: 5, period: 4s, for: 8s}", 3 * s, 5},
		{"wave: {mid: 10, amplitude: 50, period: 4s, for: 8s}", 3 * s, 0},
		{"chaos: {min: 3, max: 3, every: 1s, for: 2s}", s, 3},
		{"replay: {csv: u.csv, scale: 2}", 1500 * time.Millisecond, 8},
	} {
		plan := shaped(t, recorded{"u.csv": "time,users\n0,3\n1,4\n"}, "users", tt.shape)
		if got := NewUsers(plan.Phases[0].Users, nil).Active(tt.at); got != tt.want {
			t.Errorf("%s: %d users at %v, want %d", tt.shape, got, tt.at, tt.want)
		}
	}
}

// TestChaosOfUsers: users are as many as was drawn, another number after each step, all between both, and the seed decides.
func TestChaosOfUsers(t *testing.T) {
	heights := func(seed uint64) (out []int64) {
		text := fmt.Sprintf("version: 1\nname: s\nseed: %d\ntarget: http://127.0.0.1:1\nflows: {f: [{step: s, http: {method: GET, path: /}}]}\n"+
			"phases: [{name: p, flow: f, users: [{chaos: {min: 2, max: 9, every: 1s, for: 30s}}]}]\n", seed)
		plan, err := scenario.Load(fstest.MapFS{"s.yaml": {Data: []byte(text)}}, "s.yaml", scenario.Options{})
		if err != nil {
			t.Fatal(err)
		}
		users := NewUsers(plan.Phases[0].Users, nil)
		for at := 100 * time.Millisecond; at < 30*s; at += s {
			first, last := users.Active(at), users.Active(at+800*time.Millisecond)
			if first < 2 || first > 9 || first != last {
				t.Errorf("%d users at %v and %d soon after, want as many, 2 to 9", first, at, last)
			}
			out = append(out, first)
		}
		return out
	}
	one := heights(1)
	if !slices.Equal(one, heights(1)) || slices.Equal(one, heights(2)) {
		t.Errorf("the seed does not decide: %v, %v", one, heights(2))
	}
	distinct := slices.Compact(slices.Sorted(slices.Values(one)))
	if len(distinct) < 4 {
		t.Errorf("only %v was drawn of 2 to 9", distinct)
	}
}

func BenchmarkShapes(b *testing.B) {
	for name, shape := range map[string]string{
		"hold": "hold: {at: 20000/s, for: 1h}", "ramp": "ramp: {from: 10000/s, to: 30000/s, for: 1h}",
		"wave": "wave: {mid: 20000/s, amplitude: 10000/s, period: 1m, for: 1h}", "chaos": "chaos: {min: 10000/s, max: 30000/s, every: 1s, for: 1h}",
	} {
		b.Run(name, func(b *testing.B) {
			plan := shaped(b, nil, "rate", shape)
			p := &plan.Phases[0]
			s := NewStream(1, p)
			s.Set(NewCurve(p.Rate, nil), whole)
			for b.Loop() {
				if _, ok := s.Next(); !ok {
					s = NewStream(1, p)
					s.Set(NewCurve(p.Rate, nil), whole)
				}
			}
		})
		b.Run(name+"/set", func(b *testing.B) {
			plan := shaped(b, nil, "rate", shape)
			for b.Loop() {
				NewCurve(plan.Phases[0].Rate, []Factor{{At: time.Minute, Value: 2}})
			}
		})
	}
}
