//go:build soak && linux

package cluster

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// used returns the processor time that all processes of the cluster took in their present lives. Guards of
// workers are not counted: they do nothing.
func (c *cluster) used(t *testing.T) (sum time.Duration) {
	t.Helper()
	for _, group := range [][]*process{c.etcd, c.coordinators, c.workers} {
		for _, p := range group {
			sum += p.used(t)
		}
	}
	return sum
}

// sizes tells what each coordinator and worker has in memory.
func (c *cluster) sizes(t *testing.T) string {
	t.Helper()
	var out []string
	for _, group := range [][]*process{c.coordinators, c.workers} {
		for _, p := range group {
			out = append(out, fmt.Sprintf("%s %.0f MiB", p.name, p.resident(t)))
		}
	}
	return strings.Join(out, ", ")
}

// used returns the processor time of a process.
func (p *process) used(t *testing.T) time.Duration {
	t.Helper()
	stat := p.proc(t, "stat")
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // the first is field 3
	var ticks int64
	for _, f := range fields[11:13] { // utime and stime
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100 // USER_HZ, 100 on every architecture that we build for
}

// resident returns the resident memory of a process in MiB.
func (p *process) resident(t *testing.T) float64 {
	t.Helper()
	_, rest, _ := strings.Cut(string(p.proc(t, "status")), "VmRSS:")
	var kib float64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib / 1024
}

func (p *process) proc(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, file))
	if err != nil {
		t.Fatal(err)
	}
	return data
}
