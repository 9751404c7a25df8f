// Package host measures the machine that a process runs on: processors, memory, network and the
// process itself. It is for one caller at a time; numbers are what happened since the call before.
package host

import (
	"os"
	"runtime"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/mem"
	"github.com/shirou/gopsutil/v4/net"
	"github.com/shirou/gopsutil/v4/process"
)

// Reading is one measurement. Unit is UCUM: ratio, By, By/s, or empty for a bare number.
type Reading struct {
	Name     string
	Category string // system: of the machine; agent: of this process
	Unit     string
	Value    float64
}

// Probe measures the machine.
type Probe struct {
	self     *process.Process
	busyAt   []cpu.TimesStat
	totalAt  []cpu.TimesStat
	net      net.IOCountersStat
	netAt    time.Time
	selfCPU  float64
	selfAt   time.Time
	throttle throttle
}

// New returns a probe; what a system does not tell is left out of its readings.
func New() *Probe {
	p := &Probe{netAt: time.Now(), selfAt: time.Now()}
	p.self, _ = process.NewProcess(int32(os.Getpid()))
	p.busyAt, _ = cpu.Times(true)
	p.totalAt = p.busyAt
	if all, err := net.IOCounters(false); err == nil && len(all) == 1 {
		p.net = all[0]
	}
	if p.self != nil {
		if t, err := p.self.Times(); err == nil {
			p.selfCPU = t.User + t.System
		}
	}
	p.throttle.since()
	return p
}

// BusiestCore returns the share of its time that the busiest processor worked since the call before.
func (p *Probe) BusiestCore() float64 {
	now, err := cpu.Times(true)
	if err != nil {
		return 0
	}
	busiest, _ := shares(p.busyAt, now)
	p.busyAt = now
	return busiest
}

// Throttled returns the share of the time in which a quota of the control group kept this process
// from running, since the call before.
func (p *Probe) Throttled() float64 { return p.throttle.since() }

// Read returns the measurements since the call before.
func (p *Probe) Read() []Reading {
	var out []Reading
	add := func(name, category, unit string, v float64) {
		out = append(out, Reading{name, category, unit, v})
	}
	if now, err := cpu.Times(true); err == nil {
		busiest, mean := shares(p.totalAt, now)
		p.totalAt = now
		add("host_cpu", "system", "ratio", mean)
		add("host_cpu_busiest", "system", "ratio", busiest)
	}
	if m, err := mem.VirtualMemory(); err == nil {
		add("host_memory_used", "system", "By", float64(m.Used))
	}
	if all, err := net.IOCounters(false); err == nil && len(all) == 1 {
		now := time.Now()
		if d := now.Sub(p.netAt).Seconds(); d > 0 {
			add("host_network_in", "system", "By/s", float64(all[0].BytesRecv-p.net.BytesRecv)/d)
			add("host_network_out", "system", "By/s", float64(all[0].BytesSent-p.net.BytesSent)/d)
		}
		p.net, p.netAt = all[0], now
	}
	p.process(add)
	return out
}

func (p *Probe) process(add func(name, category, unit string, v float64)) {
	add("worker_goroutines", "agent", "", float64(runtime.NumGoroutine()))
	if p.self == nil {
		return
	}
	if m, err := p.self.MemoryInfo(); err == nil {
		add("worker_memory", "agent", "By", float64(m.RSS))
	}
	if t, err := p.self.Times(); err == nil {
		now := time.Now()
		if d := now.Sub(p.selfAt).Seconds(); d > 0 {
			add("worker_cpu", "agent", "ratio", (t.User+t.System-p.selfCPU)/d)
		}
		p.selfCPU, p.selfAt = t.User+t.System, now
	}
}

// shares returns the share of time worked by the busiest processor and by all together.
func shares(before, now []cpu.TimesStat) (busiest, mean float64) {
	var worked, all float64
	for i := range min(len(before), len(now)) {
		a, b := before[i], now[i]
		total := sum(b) - sum(a)
		if total <= 0 {
			continue
		}
		idle := b.Idle + b.Iowait - a.Idle - a.Iowait
		w := min(max(total-idle, 0), total)
		worked, all = worked+w, all+total
		busiest = max(busiest, w/total)
	}
	if all > 0 {
		mean = worked / all
	}
	return busiest, mean
}

// sum is all the time of a processor. Guest time is part of user time already.
func sum(t cpu.TimesStat) float64 {
	return t.User + t.System + t.Idle + t.Nice + t.Iowait + t.Irq + t.Softirq + t.Steal
}

// Memory returns the bytes of memory of the machine; 0 when it is not known.
func Memory() uint64 {
	if m, err := mem.VirtualMemory(); err == nil {
		return m.Total
	}
	return 0
}
