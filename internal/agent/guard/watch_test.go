package guard

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

// duty is a Duty that notes for whom it was done.
type duty struct {
	done []Ward
	DoFn func(ctx context.Context) error
}

// Do implements Duty.
func (d *duty) Do(ctx context.Context, dead Ward) error {
	d.done = append(d.done, dead)
	if d.DoFn != nil {
		return d.DoFn(ctx)
	}
	return nil
}

func line(t testing.TB, w Ward) string {
	t.Helper()
	data, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	return string(data) + "\n"
}

// TestWatch proves what a guard makes of the pipe and of the process: the last that the worker told counts,
// and nothing is done without the proof that it has ended.
func TestWatch(t *testing.T) {
	early := Ward{PID: 42, Name: "w1", Join: []string{"c1"}}
	late := early
	late.Life = aLife
	dismissed := late
	dismissed.Dismissed = true
	rows := []struct {
		name string
		pipe string
		gone bool
		want *Ward
		err  error
	}{
		{"dead", line(t, early) + line(t, late), true, &late, nil},
		{"dead before it was welcomed", line(t, early), true, &early, nil},
		{"dead in the middle of a line", line(t, early) + line(t, late)[:30], true, &early, nil},
		{"dismissed", line(t, early) + line(t, dismissed), true, nil, nil},
		{"closed and alive", line(t, late), false, nil, nil},
		{"nothing", "", true, nil, ErrNoWard},
		{"a terminal", "hello\n", true, nil, ErrNoWard},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // in which the time that a process has to end passes at once
				d := &duty{}
				err := Watch(t.Context(), WatchOptions{
					Pipe: strings.NewReader(row.pipe), Gone: func(pid int) bool { return row.gone && pid == 42 },
					Duties: []Duty{d}, Logger: hclog.NewNullLogger(),
				})
				if !errors.Is(err, row.err) {
					t.Errorf("watch: %v, want %v", err, row.err)
				}
				switch {
				case row.want == nil && len(d.done) != 0:
					t.Errorf("done for %+v", d.done)
				case row.want != nil && (len(d.done) != 1 || line(t, d.done[0]) != line(t, *row.want)):
					t.Errorf("done for %+v, want %+v", d.done, *row.want)
				}
			})
		})
	}
}

// TestWatchEnds proves that a guard waits for the end of a process whose files are closed, does all duties at
// once, and outlives its worker by no more than their time, whatever a duty waits for.
func TestWatchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pipe, worker := io.Pipe()
		began := time.Now()
		gone := func(int) bool { return time.Since(began) >= time.Hour+time.Second }
		hangs := &duty{DoFn: func(ctx context.Context) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}}
		prompt := &duty{}
		ended := make(chan error, 1)
		watching := time.AfterFunc(0, func() {
			ended <- Watch(t.Context(), WatchOptions{Pipe: pipe, Gone: gone, Duties: []Duty{hangs, prompt}, Logger: hclog.NewNullLogger()})
		})
		defer watching.Stop()
		if _, err := io.WriteString(worker, line(t, Ward{PID: 42, Name: "w1"})); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(hangs.done)+len(prompt.done) != 0 {
			t.Error("a duty was done for a worker that lives")
		}
		if err := worker.Close(); err != nil {
			t.Fatal(err)
		}
		err := <-ended
		if !errors.Is(err, errDutyTime) || len(prompt.done) != 1 {
			t.Errorf("watch: %v, and %d times the other duty", err, len(prompt.done))
		}
		if took := time.Since(began) - time.Hour; took > exitTime+dutyTime {
			t.Errorf("guard ended %v after its worker", took)
		}
	})
}
