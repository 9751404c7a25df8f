package agent

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"proofload/internal/wire"
)

// Outbox keeps sealed batches until they are acked, in memory for sending and on disk for the case
// that this process dies. All methods may be called concurrently.
//
// On disk a sequence (run, incarnation) is a folder of files, each with up to filesBatches records
// in order; a file is deleted when all its batches are acked. A record is
//
//	length uint32 | crc32c of seq and data uint32 | seq uint64 | data
//
// in little endian. A torn record at the end of a file is what a crash in mid-write leaves; it was
// never sent, and is cut off when the file is read.
type Outbox struct {
	dir   string
	limit int64
	fsync bool
	sync  func(*os.File) error
	most  int // bytes of one batch

	mu       sync.Mutex
	lanes    map[laneKey]*lane
	bytes    int64
	cluster  uint64            // that the worker is attached to
	clusters map[string]uint64 // that each run belongs to
}

type laneKey struct {
	run         string
	incarnation int64
}

// lane is one sequence of batches.
type lane struct {
	batches []wire.Sealed // un-acked, in order
	next    uint64        // sequence number of the next batch
	files   []spool       // oldest first; the last one is open for appending
	open    *os.File
	size    int64 // of the whole records in open
}

// OutboxOptions are the bounds of an Outbox.
type OutboxOptions struct {
	Dir   string // made if absent
	Limit int64  // bytes of un-acked batches beyond which the outbox is full; 0: 64 MiB
	Fsync bool   // force every batch to the disk, for protection against the loss of power
}

const (
	spoolBatches     = 64
	defaultLimit     = 64 << 20
	recordHead       = 16
	maxRecord        = 64 << 20
	outboxPermission = 0o700
)

// ErrTooLarge refuses a batch that no message can carry.
var ErrTooLarge = errors.New("batch is too large to be sent")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// OpenOutbox opens the outbox in a directory with all batches that an earlier process left there.
func OpenOutbox(opts OutboxOptions) (*Outbox, error) {
	o := &Outbox{
		dir: opts.Dir, limit: cmp.Or(opts.Limit, int64(defaultLimit)), fsync: opts.Fsync, sync: (*os.File).Sync,
		most: wire.MaxBatchBytes, lanes: map[laneKey]*lane{}, clusters: map[string]uint64{},
	}
	if err := os.MkdirAll(o.dir, outboxPermission); err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	runs, err := os.ReadDir(o.dir)
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	for _, r := range runs {
		if err := o.readRun(r.Name()); err != nil {
			return nil, fmt.Errorf("outbox of run %s: %w", r.Name(), err)
		}
	}
	return o, nil
}

func (o *Outbox) readRun(run string) error {
	o.readCluster(run)
	lives, err := os.ReadDir(filepath.Join(o.dir, run))
	if err != nil {
		return err
	}
	for _, l := range lives {
		if strings.HasSuffix(l.Name(), closedSuffix) {
			if err := os.RemoveAll(filepath.Join(o.dir, run, l.Name())); err != nil {
				return err
			}
			continue
		}
		incarnation, err := strconv.ParseInt(l.Name(), 10, 64)
		if err != nil {
			continue // not ours
		}
		key := laneKey{run, incarnation}
		if err := o.readLane(key); err != nil {
			return err
		}
	}
	return nil
}

func (o *Outbox) readLane(key laneKey) error {
	entries, err := os.ReadDir(o.laneDir(key))
	if err != nil {
		return err
	}
	l := &lane{next: 1}
	for _, e := range entries { // ReadDir sorts by name, and names are numbers of fixed width
		path := filepath.Join(o.laneDir(key), e.Name())
		first, err := strconv.ParseUint(strings.TrimSuffix(e.Name(), ".spool"), 10, 64)
		if err != nil {
			continue
		}
		if len(l.files) == 0 {
			l.next = first
		}
		batches, err := readSpool(path, key)
		if err != nil {
			return err
		}
		for _, b := range batches {
			if b.Seq != l.next {
				return fmt.Errorf("%s: batch %d where %d was expected", path, b.Seq, l.next)
			}
			l.batches = append(l.batches, b)
			l.next++
			o.bytes += int64(len(b.Data))
		}
		l.files = append(l.files, spool{path: path, last: l.next - 1, count: spoolBatches})
	}
	o.lanes[key] = l
	return nil
}

// Append adds the next batch of a sequence: it is on disk when Append returns. The number in the
// answer is the batch's, one more than the last one's. ErrTooLarge says that trying again is of no use.
func (o *Outbox) Append(run string, incarnation int64, seal func(seq uint64) []byte) (wire.Sealed, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	key := laneKey{run, incarnation}
	l, ok := o.lanes[key]
	if !ok {
		l = &lane{next: 1}
		o.lanes[key] = l
	}
	b := wire.Sealed{Run: run, Incarnation: incarnation, Seq: l.next, Data: seal(l.next)}
	if n := len(b.Data); n > o.most {
		return wire.Sealed{}, fmt.Errorf("outbox of run %s: batch %d of %d bytes: %w", run, b.Seq, n, ErrTooLarge)
	}
	if err := o.write(key, l, b); err != nil {
		return wire.Sealed{}, fmt.Errorf("outbox of run %s: batch %d: %w", run, b.Seq, err)
	}
	l.batches = append(l.batches, b)
	l.next++
	o.bytes += int64(len(b.Data))
	return b, nil
}

func (o *Outbox) write(key laneKey, l *lane, b wire.Sealed) error {
	if l.open == nil || l.files[len(l.files)-1].count >= spoolBatches {
		if err := o.rotate(key, l, b.Seq); err != nil {
			return err
		}
	}
	record := make([]byte, recordHead, recordHead+len(b.Data))
	binary.LittleEndian.PutUint32(record, uint32(len(b.Data)))
	binary.LittleEndian.PutUint64(record[8:], b.Seq)
	record = append(record, b.Data...)
	binary.LittleEndian.PutUint32(record[4:], crc32.Checksum(record[8:], castagnoli))
	if err := o.put(l, record); err != nil {
		return err
	}
	last := &l.files[len(l.files)-1]
	last.last = b.Seq
	last.count++
	return nil
}

// put writes a record behind the last whole one.
func (o *Outbox) put(l *lane, record []byte) error {
	_, err := l.open.WriteAt(record, l.size)
	if err == nil && o.fsync {
		err = o.sync(l.open)
	}
	if err != nil {
		// A part of a record would hide those after it, and a whole one that nobody was told of would be
		// there twice once it is tried again. Should it stay, then the next one is written over it.
		_ = l.open.Truncate(l.size)
		return err
	}
	l.size += int64(len(record))
	return nil
}

// rotate starts a new file whose first batch is seq.
func (o *Outbox) rotate(key laneKey, l *lane, seq uint64) error {
	if err := os.MkdirAll(o.laneDir(key), outboxPermission); err != nil {
		return err
	}
	if err := o.keepCluster(key.run); err != nil {
		return err
	}
	path := filepath.Join(o.laneDir(key), fmt.Sprintf("%020d.spool", seq))
	// A file of that name can only hold a torn record that was never sent.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if l.open != nil {
		_ = l.open.Close()
	}
	l.open, l.size = f, 0
	if n := len(l.files); n > 0 && l.files[n-1].path == path {
		l.files = l.files[:n-1]
	}
	l.files = append(l.files, spool{path: path, last: seq})
	return nil
}

// Ack drops the batches through a mark; Closed drops the whole sequence.
func (o *Outbox) Ack(m wire.Mark) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	key := laneKey{m.Run, m.Incarnation}
	l, ok := o.lanes[key]
	if !ok {
		return nil
	}
	if m.Closed {
		return o.drop(key, l)
	}
	for len(l.batches) > 0 && l.batches[0].Seq <= m.Through {
		o.bytes -= int64(len(l.batches[0].Data))
		l.batches[0] = wire.Sealed{}
		l.batches = l.batches[1:]
	}
	var errs []error
	for len(l.files) > 0 && l.files[0].last <= m.Through && (l.open == nil || len(l.files) > 1) {
		errs = append(errs, os.Remove(l.files[0].path))
		l.files = l.files[1:]
	}
	if len(l.batches) == 0 && l.open == nil {
		// A sequence of an earlier life that is now wholly committed.
		errs = append(errs, o.drop(key, l))
	}
	return errors.Join(errs...)
}

// Forget drops a run: it is closed, or was deleted.
func (o *Outbox) Forget(run string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var errs []error
	for key, l := range o.lanes {
		if key.run == run {
			errs = append(errs, o.drop(key, l))
		}
	}
	return errors.Join(errs...)
}

func (o *Outbox) drop(key laneKey, l *lane) error {
	for _, b := range l.batches {
		o.bytes -= int64(len(b.Data))
	}
	if l.open != nil {
		_ = l.open.Close()
	}
	delete(o.lanes, key)
	err := removeLane(o.laneDir(key))
	for other := range o.lanes {
		if other.run == key.run {
			return err
		}
	}
	delete(o.clusters, key.run)
	_ = os.Remove(o.clusterFile(key.run))
	_ = os.Remove(filepath.Join(o.dir, key.run))
	return err
}

// closedSuffix marks the directory of a sequence that is being removed: of one that a crash left half removed nothing
// is missed.
const closedSuffix = ".closed"

// removeLane removes the directory of a sequence.
func removeLane(dir string) error {
	if err := os.Rename(dir, dir+closedSuffix); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // nothing was appended
		}
		return err
	}
	return os.RemoveAll(dir + closedSuffix)
}

// Unacked returns the batches of a sequence from seq on, in order, no more than most of them.
func (o *Outbox) Unacked(run string, incarnation int64, seq uint64, most int) []wire.Sealed {
	o.mu.Lock()
	defer o.mu.Unlock()
	l, ok := o.lanes[laneKey{run, incarnation}]
	if !ok {
		return nil
	}
	from, _ := slices.BinarySearchFunc(l.batches, seq, func(b wire.Sealed, s uint64) int { return cmp.Compare(b.Seq, s) })
	return slices.Clone(l.batches[from:min(from+most, len(l.batches))])
}

// State describes every sequence, for the hello.
func (o *Outbox) State() []wire.OutboxState {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := make([]wire.OutboxState, 0, len(o.lanes))
	for key, l := range o.lanes {
		s := wire.OutboxState{Run: key.run, Incarnation: key.incarnation, OldestUnacked: l.next, NextSeq: l.next}
		if len(l.batches) > 0 {
			s.OldestUnacked = l.batches[0].Seq
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b wire.OutboxState) int {
		return cmp.Or(strings.Compare(a.Run, b.Run), cmp.Compare(a.Incarnation, b.Incarnation))
	})
	return out
}

// Full reports whether un-acked batches have reached the bound: no new work may start.
func (o *Outbox) Full() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes >= o.limit
}

// Holds reports whether batches of a run are not acked yet.
func (o *Outbox) Holds(run string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for key, l := range o.lanes {
		if key.run == run && len(l.batches) > 0 {
			return true
		}
	}
	return false
}

// Depth returns how many batches are not acked, and their bytes.
func (o *Outbox) Depth() (batches int, bytes int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range o.lanes {
		batches += len(l.batches)
	}
	return batches, o.bytes
}

// Close closes the files; what is un-acked stays on disk.
func (o *Outbox) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var errs []error
	for _, l := range o.lanes {
		if l.open != nil {
			errs = append(errs, l.open.Close())
		}
	}
	return errors.Join(errs...)
}

func (o *Outbox) laneDir(key laneKey) string {
	return filepath.Join(o.dir, key.run, strconv.FormatInt(key.incarnation, 10))
}
