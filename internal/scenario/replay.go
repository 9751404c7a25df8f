package scenario

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxRecorded bounds the rows of a file that is replayed.
const maxRecorded = 1_000_000

// maxUsersAtOnce bounds the users of a phase.
const maxUsersAtOnce = 1_000_000

// The columns of a file that is replayed, each by any of its names.
var (
	timeColumns  = []string{"time", "at_s"}
	rateColumns  = []string{"rate", "per_s"}
	usersColumns = []string{"users"}
)

// unixTime is from where on a number is no offset, but a time since 1970.
const unixTime = 1e9

// recording is what a file that is replayed holds: heights from their times on, or times of arrivals.
type recording struct {
	at      []time.Duration
	heights []float64 // nil: arrivals
}

// replay plays a recording.
func (p *profile) replay(f ReplayF) string {
	speed, scale := 1.0, 1.0
	if f.Speed != nil {
		speed = f.Speed.Value
	}
	if f.Scale != nil {
		scale = f.Scale.Value
	}
	text := f.CSV.Value
	if speed != 1 {
		text += fmt.Sprintf(" at speed %g", speed)
	}
	if scale != 1 {
		text += fmt.Sprintf(" scaled by %g", scale)
	}
	if f.CSV.Value == "" || speed <= 0 || scale <= 0 { // which was said already
		return text
	}
	rec, ok := p.loader.recorded(f.CSV, p.rate)
	if !ok {
		return text
	}
	for i, at := range rec.at {
		rec.at[i] = time.Duration(math.Round(float64(at) / speed))
	}
	before := p.phase.Length
	if rec.heights == nil {
		p.stamps(f, rec, scale)
	} else {
		p.series(f, rec, speed, scale)
	}
	return fmt.Sprintf("%s, for %s", text, p.phase.Length-before)
}

// series appends heights that each last until the next; the last one lasts as long as the one before it.
func (p *profile) series(f ReplayF, rec recording, speed, scale float64) {
	n := len(rec.at)
	if !p.room(float64(n) + 1) {
		return
	}
	end := rec.at[n-1] + (rec.at[n-1] - rec.at[n-2])
	p.line("replay", 0, 0, rec.at[0])
	for i, at := range rec.at {
		next := end
		if i+1 < n {
			next = rec.at[i+1]
		}
		level := p.scale(float64(rec.heights[i] * scale))
		if !p.rate {
			level = math.Round(level)
		}
		if most := p.most(); level > most {
			p.loader.fail(f.CSV.At, "file %s: row %d scaled is %g, above %g", path.Base(f.CSV.Value), i+1, level, most)
			return
		}
		if next <= at {
			p.loader.fail(f.CSV.At, "file %s: at speed %g row %d would last no time", path.Base(f.CSV.Value), speed, i+1)
			return
		}
		p.line("replay", level, level, next-at)
	}
}

// most bounds the height of a profile.
func (p *profile) most() float64 {
	if p.rate {
		return maxRate
	}
	return maxUsersAtOnce
}

// stamps appends recorded arrivals. Behind the last one there is as much time as lies between two of them.
func (p *profile) stamps(f ReplayF, rec recording, scale float64) {
	if p.phase.Arrivals == "poisson" {
		p.loader.fail(f.CSV.At, "file %s holds arrivals, which come when they were recorded: that is not poisson; use arrivals: uniform", path.Base(f.CSV.Value))
		return
	}
	n := len(rec.at)
	gap := time.Second
	if n > 1 {
		gap = max((rec.at[n-1]-rec.at[0])/time.Duration(n-1), 1)
	}
	each := float64(scale * p.load)
	first, end := rec.at[0], rec.at[n-1]+gap
	for i := range rec.at {
		rec.at[i] -= first
	}
	p.line("replay", 0, 0, first)
	p.sum = math.Ceil(p.sum) // a part of an arrival that is left over would move all that were recorded
	p.put(Segment{Kind: "replay", For: end - first, Stamps: &Stamps{At: rec.at, Each: each}}, float64(float64(n)*each))
}

// recorded reads a file that is replayed; false, with a problem noted, if it cannot be.
func (l *loader) recorded(name Text, rate bool) (recording, bool) {
	full, ok := relative(l.parser.file, name.Value)
	if !ok {
		l.fail(name.At, "file %q must lie beside the scenario or below it", name.Value)
		return recording{}, false
	}
	data, err := fs.ReadFile(l.fsys, full)
	if err != nil {
		l.fail(name.At, "file %s cannot be read: %s", full, reason(err))
		return recording{}, false
	}
	rec, err := readRecording(data, rate)
	if err != nil {
		l.fail(name.At, "file %s: %s", path.Base(full), err)
		return recording{}, false
	}
	return rec, true
}

// readRecording reads a CSV file with a column of times and, unless it is of arrivals, one of heights.
func readRecording(data []byte, rate bool) (recording, error) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))))
	r.ReuseRecord, r.TrimLeadingSpace = true, true
	header, err := r.Read()
	if errors.Is(err, io.EOF) {
		return recording{}, errors.New("it is empty: the first line names the columns, as in time,rate")
	} else if err != nil {
		return recording{}, err
	}
	columns, err := columnsOf(header, rate)
	if err != nil {
		return recording{}, err
	}
	var rec recording
	for row := 1; ; row++ {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return recording{}, err
		}
		if row > maxRecorded {
			return recording{}, fmt.Errorf("it has more than %d rows", maxRecorded)
		}
		if err := rec.add(cells, columns); err != nil {
			return recording{}, fmt.Errorf("row %d: %w", row, err)
		}
	}
	return rec, rec.settle()
}

// columnsOf finds the columns of times and of heights; the latter is -1 for arrivals.
func columnsOf(header []string, rate bool) (columns [2]int, err error) {
	find := func(names []string) int {
		return slices.IndexFunc(header, func(h string) bool { return slices.Contains(names, strings.TrimSpace(h)) })
	}
	at, rates, users := find(timeColumns), find(rateColumns), find(usersColumns)
	switch {
	case at < 0:
		return columns, fmt.Errorf("it has no column %s", strings.Join(timeColumns, " or "))
	case !rate && users < 0:
		return columns, fmt.Errorf("it has no column users, which a phase of users replays")
	case rate && rates < 0 && users >= 0:
		return columns, fmt.Errorf("it has a column users, and none of %s that rate could replay", strings.Join(rateColumns, " or "))
	case rate:
		return [2]int{at, rates}, nil
	}
	return [2]int{at, users}, nil
}

// add reads a row.
func (r *recording) add(cells []string, columns [2]int) error {
	at, err := recordedTime(strings.TrimSpace(cells[columns[0]]))
	if err != nil {
		return err
	}
	if n := len(r.at); n > 0 && columns[1] >= 0 && at <= r.at[n-1] {
		return errors.New("its time is not after that of the row before")
	}
	r.at = append(r.at, at)
	if columns[1] < 0 {
		return nil
	}
	text := strings.TrimSpace(cells[columns[1]])
	v, err := strconv.ParseFloat(strings.TrimSuffix(text, "/s"), 64)
	if !number.MatchString(strings.TrimSuffix(text, "/s")) || err != nil || v < 0 {
		if v, err = readRate(text); err != nil {
			return fmt.Errorf("%q is no height: write a number", text)
		}
	}
	r.heights = append(r.heights, v)
	return nil
}

// recordedTime reads seconds, a duration or a date.
func recordedTime(text string) (time.Duration, error) {
	if number.MatchString(text) {
		return recordedSeconds(text)
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 && d <= maxSpan {
		return d, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil && t.Unix() >= unixTime {
		return t.Sub(time.Unix(0, 0)), nil
	}
	return 0, fmt.Errorf("%q is no time: write seconds, a duration, or a date such as 2026-03-01T12:00:00Z", text)
}

// recordedSeconds reads seconds with up to nine digits behind the point exactly, which a floating-point number
// of seconds since 1970 could not hold.
func recordedSeconds(text string) (time.Duration, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || v < 0 || v > maxSpan.Seconds() {
		return 0, fmt.Errorf("%s is no time in seconds", text)
	}
	at, err := time.ParseDuration(text + "s")
	if err != nil { // it has an exponent
		at = time.Duration(math.Round(v * 1e9))
	}
	return at, nil
}

// settle makes times count from the start of the recording, and brings arrivals in order.
func (r *recording) settle() error {
	if len(r.at) == 0 {
		return errors.New("it has a header and no rows")
	}
	if r.heights == nil {
		slices.Sort(r.at)
	} else if len(r.at) == 1 {
		return errors.New("it has one row, which says no length: the last height lasts as long as the one before it")
	}
	if first := r.at[0]; first >= unixTime*time.Second {
		for i := range r.at {
			r.at[i] -= first
		}
	}
	return nil
}
