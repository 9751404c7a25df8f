//go:build soak && linux

package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// scaled is a turn of a client beside one server, whose processor time is known, too.
type scaled struct {
	turn
	server time.Duration
}

// busy returns how many cores client and server had together.
func (s scaled) busy() float64 { return (s.cpu + s.server).Seconds() / peerLength.Seconds() }

// holdScaling compares what a client does on one core, the server having the other, with what it does on both.
// There are no more than two, so the server takes of the second what its answers cost. What two whole cores would
// do is therefore the requests of a second of the client's processor time, twice: that counts whatever a second
// core costs each request (locks, counters that two cores write, goroutines and memory that move between them).
// That no core is idle meanwhile, as it would be if one waited for the other, is for the share of the two cores to
// show that client and server have used.
func holdScaling(t *testing.T) {
	addr, server := leanServer(t)
	both := serverCore + "," + clientCore
	measured := func(client func() turn) scaled {
		before := processor(t, server.Process.Pid)
		u := client()
		return scaled{u, processor(t, server.Process.Pid) - before}
	}
	type contender struct{ one, two func() turn }
	scenario := contests[0].scenario(addr)
	single, double := startOurs(t, clientCore), startOurs(t, both)
	contenders := map[string]contender{"Proofload's worker": {
		func() turn { return single.turn(t, scenario) }, func() turn { return double.turn(t, scenario) },
	}}
	if _, err := exec.LookPath("wrk"); err == nil {
		wrk := func(threads, cores string) func() turn {
			p := peer{"wrk", []string{"wrk", "-t", threads, "-c", "64", "-d", "%ds", "http://%s/"}, regexp.MustCompile(`(\d+) requests in`)}
			return func() turn { return p.turn(t, addr, cores) }
		}
		contenders["wrk"] = contender{wrk("1", clientCore), wrk("2", both)}
	}
	names := []string{"Proofload's worker", "wrk"}
	one, two := map[string][]scaled{}, map[string][]scaled{}
	for range *peerRounds {
		for _, name := range names {
			if c, ok := contenders[name]; ok {
				one[name] = append(one[name], measured(c.one))
				two[name] = append(two[name], measured(c.two))
			}
		}
	}
	var b strings.Builder
	b.WriteString("\n| client | cores | requests/s | CPU per request | the server's | cores in use | two whole cores by one |\n|---|--:|--:|--:|--:|--:|--:|\n")
	for _, name := range names {
		if _, ok := contenders[name]; ok {
			fmt.Fprintf(&b, "| %s | 1 | %s | |\n", name, scaledRow(one[name]))
			fmt.Fprintf(&b, "| | 2 | %s | %s |\n", scaledRow(two[name]), scaling(one[name], two[name]))
		}
	}
	t.Log(b.String())
}

func scaledRow(turns []scaled) string {
	of := func(f func(scaled) float64) float64 {
		values := make([]float64, len(turns))
		for i, u := range turns {
			values[i] = f(u)
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return fmt.Sprintf("%.0f | %.2f µs | %.2f µs | %.2f", of(func(u scaled) float64 { return u.perSecond() }), of(func(u scaled) float64 { return u.perRequest() }),
		of(func(u scaled) float64 { return float64(u.server.Nanoseconds()) / 1e3 / float64(u.requests) }), of(scaled.busy))
}

// scaling returns by how much two whole cores do more than one: median, least and most of the rounds.
func scaling(one, two []scaled) string {
	ratios := make([]float64, len(one))
	for i := range one {
		ratios[i] = 2 * one[i].perRequest() / two[i].perRequest()
	}
	slices.Sort(ratios)
	return fmt.Sprintf("%.2f (%.2f to %.2f), wanted ≥ 1.8", ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1])
}

// leanServer starts a server on the server's core that costs hardly more than its system calls.
func leanServer(t *testing.T) (addr string, cmd *exec.Cmd) {
	t.Helper()
	addr, file := freeAddress(t), filepath.Join(t.TempDir(), "leantarget")
	if out, err := exec.Command("go", "build", "-o", file, "./leantarget").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	var log bytes.Buffer
	cmd = exec.Command("taskset", "-c", serverCore, file, addr)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself, which the log tells
		if _ = cmd.Wait(); log.Len() > 0 {
			t.Errorf("leantarget: %s", &log)
		}
	})
	until(t, "the server", func() bool {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
		return err == nil && c.Close() == nil
	})
	return addr, cmd
}
