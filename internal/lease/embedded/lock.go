package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

var (
	// ErrInUse says that another process holds the data directory.
	ErrInUse = errors.New("data directory is in use by another process")
	// ErrNotWritable says that the data directory cannot be created or written.
	ErrNotWritable = errors.New("data directory cannot be written")
)

// lock is the claim of one process on a data directory. The kernel drops it with the process, so a
// crash leaves nothing to clean up.
type lock struct{ file *os.File }

// acquire claims dir, creating it when missing. etcd's own lock is no substitute: a second server
// waits for it without end and without a word.
func acquire(dir string) (*lock, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrNotWritable, dir, err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrNotWritable, dir, err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(file.Name()) // only to be helpful
		_ = file.Close()                      // nothing was written
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
		return nil, fmt.Errorf("%w: %s%s", ErrInUse, dir, pid(holder))
	}
	l := &lock{file}
	if err := l.sign(); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s: %w", ErrNotWritable, dir, err), l.release())
	}
	return l, nil
}

// sign leaves the process id in the file, for the message that others get.
func (l *lock) sign() error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return err
}

func (l *lock) release() error { return l.file.Close() }

func pid(holder []byte) string {
	if s := strings.TrimSpace(string(holder)); s != "" {
		return " (process " + s + ")"
	}
	return ""
}
