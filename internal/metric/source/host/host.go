// Package host measures the machine that a process runs on: processors, memory, network and the
// process itself. It is for one caller at a time; numbers are what happened since the call before, per real
// time that has passed since. What was asked for again too soon has no rate: the counters of the system
// are coarser than that.
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

// shortest is the time over which a rate can be told: ten of the ticks in which processors are counted.
const shortest = 100 * time.Millisecond

// Probe measures the machine.
type Probe struct {
	self     *process.Process
	now      func() time.Time
	busyAt   []cpu.TimesStat
	busyTime time.Time
	busy     float64 // what was told last of the busiest processor
	throttle throttle
	ownAt    float64 // processor time of this process in seconds, and when
	ownTime  time.Time
	own      float64 // what was told last of it

	readTime time.Time // of what follows
	totalAt  []cpu.TimesStat
	net      net.IOCountersStat
	selfCPU  float64
}

// New returns a probe; what a system does not tell is left out of its readings.
func New() *Probe {
	p := &Probe{now: time.Now}
	p.readTime = p.now()
	p.busyTime = p.readTime
	p.self, _ = process.NewProcess(int32(os.Getpid()))
	p.busyAt, _ = cpu.Times(true)
	p.totalAt = p.busyAt
	if all, err := net.IOCounters(false); err == nil && len(all) == 1 {
		p.net = all[0]
	}
	p.selfCPU = p.spent()
	p.ownAt, p.ownTime = p.selfCPU, p.readTime
	p.throttle.since(p.now())
	return p
}

// BusiestCore returns the share of its time that the busiest processor worked since the call before. Asked
// again at once it tells the same: the time before is that of all who ask.
func (p *Probe) BusiestCore() float64 {
	at := p.now()
	if at.Sub(p.busyTime) < shortest {
		return p.busy
	}
	now, err := cpu.Times(true)
	if err != nil {
		return 0
	}
	p.busy, _ = shares(p.busyAt, now)
	p.busyAt, p.busyTime = now, at
	return p.busy
}

// Throttled returns the share of the time in which a quota of the control group kept this process
// from running, since the call before. Asked again at once it tells the same.
func (p *Probe) Throttled() float64 { return p.throttle.since(p.now()) }

// Own returns the share of the processors that this process may use which it used since the call before, 1 being all of
// each. Asked again at once it tells the same.
func (p *Probe) Own() float64 {
	at := p.now()
	passed := at.Sub(p.ownTime)
	if passed < shortest {
		return p.own
	}
	spent := p.spent()
	p.own = max(0, spent-p.ownAt) / (passed.Seconds() * float64(runtime.GOMAXPROCS(0)))
	p.ownAt, p.ownTime = spent, at
	return p.own
}

// Read returns the measurements since the call before. Rates are missing when that was too short a while
// ago, and are over all of the time at the next call.
func (p *Probe) Read() []Reading {
	var out []Reading
	add := func(name, category, unit string, v float64) {
		out = append(out, Reading{name, category, unit, v})
	}
	if m, err := mem.VirtualMemory(); err == nil {
		add("host_memory_used", "system", "By", float64(m.Used))
	}
	add("worker_goroutines", "agent", "", float64(runtime.NumGoroutine()))
	if p.self != nil {
		if m, err := p.self.MemoryInfo(); err == nil {
			add("worker_memory", "agent", "By", float64(m.RSS))
		}
	}
	if at := p.now(); at.Sub(p.readTime) >= shortest {
		p.rates(add, at.Sub(p.readTime).Seconds())
		p.readTime = at
	}
	return out
}

// rates adds what can be told only over a time, which is passed in seconds.
func (p *Probe) rates(add func(name, category, unit string, v float64), passed float64) {
	if now, err := cpu.Times(true); err == nil {
		busiest, mean := shares(p.totalAt, now)
		p.totalAt = now
		add("host_cpu", "system", "ratio", mean)
		add("host_cpu_busiest", "system", "ratio", busiest)
	}
	if all, err := net.IOCounters(false); err == nil && len(all) == 1 {
		// Counters that went back are those of other interfaces.
		if in, out := all[0].BytesRecv, all[0].BytesSent; in >= p.net.BytesRecv && out >= p.net.BytesSent {
			add("host_network_in", "system", "By/s", float64(in-p.net.BytesRecv)/passed)
			add("host_network_out", "system", "By/s", float64(out-p.net.BytesSent)/passed)
		}
		p.net = all[0]
	}
	if spent := p.spent(); spent > 0 {
		add("worker_cpu", "agent", "ratio", max(0, spent-p.selfCPU)/passed)
		p.selfCPU = spent
	}
}

// spent returns the processor time that this process has used, in seconds; 0 if the system does not tell.
func (p *Probe) spent() float64 {
	if p.self == nil {
		return 0
	}
	t, err := p.self.Times()
	if err != nil {
		return 0
	}
	return t.User + t.System
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
