package programload

import (
	"bytes"
	"cmp"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// descendant is a process, which its number and the time at which it was started name.
type descendant struct {
	pid    int
	began  uint64 // in the kernel's time
	parent int
	ended  bool // and nobody has asked how
}

// lives reports whether the process has not ended yet.
func (d descendant) lives() bool {
	now, err := stat(d.pid)
	return err == nil && now.began == d.began && !now.ended // its number may be another's
}

// mark returns the entry called Mark of the environment that the process was started with; empty: there is none, it has
// ended, or it is another user's.
func (d descendant) mark() string {
	environment, err := os.ReadFile("/proc/" + strconv.Itoa(d.pid) + "/environ")
	if err != nil {
		return ""
	}
	for entry := range strings.SplitSeq(string(environment), "\x00") {
		if strings.HasPrefix(entry, Mark+"=") {
			return entry
		}
	}
	return ""
}

// stat looks a process up.
func stat(pid int) (descendant, error) {
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return descendant{}, err
	}
	// The name stands in brackets and may hold anything; what follows its last bracket is state and parent, and some way
	// behind them the start.
	const state, parent, start = 0, 1, 19
	fields := bytes.Fields(line[bytes.LastIndexByte(line, ')')+1:])
	if len(fields) <= start {
		return descendant{}, errors.New("the kernel says less of a process than it did")
	}
	of, err := strconv.Atoi(string(fields[parent]))
	began, unread := strconv.ParseUint(string(fields[start]), 10, 64)
	return descendant{pid: pid, began: began, parent: of, ended: string(fields[state]) == "Z"}, errors.Join(err, unread)
}

// processes are those that were there at one look.
type processes struct {
	once     sync.Once
	children map[int][]descendant    // by the number of their parent
	marked   map[string][]descendant // by their mark
}

// looking is one look at a time, and the next one, which has not begun.
var looking struct {
	sync.Mutex
	next *processes
	now  sync.Mutex
}

// look returns the processes as they are at some moment after it was called. At hundreds of processes that takes
// milliseconds, and a run that is stopped ends hundreds of programs at once: those who come while another looks share
// the next look.
func look() *processes {
	looking.Lock()
	if looking.next == nil {
		looking.next = &processes{children: map[int][]descendant{}, marked: map[string][]descendant{}}
	}
	mine := looking.next
	looking.Unlock()
	mine.once.Do(func() {
		looking.now.Lock()
		defer looking.now.Unlock()
		looking.Lock()
		looking.next = nil // who comes from here on wants a later one
		looking.Unlock()
		mine.read()
	})
	return mine
}

// read looks.
func (p *processes) read() {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	worker, _ := stat(os.Getpid()) // 0 if it cannot be read: all are younger
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		d, err := stat(pid)
		if err != nil {
			continue // it has ended
		}
		p.children[d.parent] = append(p.children[d.parent], d)
		if d.ended || d.began < worker.began { // an environment takes longer to read than all else
			continue
		}
		if mark := d.mark(); mark != "" {
			p.marked[mark] = append(p.marked[mark], d)
		}
	}
}

// below returns the descendants of a process that still have their parents. What others read too is left as it is.
func (p *processes) below(root int) (all []descendant) {
	for queue := slices.Clone(p.children[root]); len(queue) > 0; queue = queue[1:] {
		all = append(all, queue[0])
		queue = append(queue, p.children[queue[0].pid]...)
	}
	return all
}

// bearing returns the processes that bear a mark, and what is below them. One whose parent has ended is below nobody who
// tells whose it was.
func (p *processes) bearing(mark string) (all []descendant) {
	for _, d := range p.marked[mark] {
		if d.lives() { // looked up after its environment and its children were: they are its own
			all = append(append(all, d), p.below(d.pid)...)
		}
	}
	return all
}

// oldestFirst orders processes so that parents come before their children, as who is ended first starts no others, and
// leaves each in once.
func oldestFirst(all []descendant) []descendant {
	slices.SortFunc(all, func(a, b descendant) int { return cmp.Or(cmp.Compare(a.began, b.began), cmp.Compare(a.pid, b.pid)) })
	return slices.CompactFunc(all, func(a, b descendant) bool { return a.pid == b.pid && a.began == b.began })
}
