package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
)

// identity is who this worker is. Instance belongs to the data directory and survives restarts;
// nonce belongs to this process.
type identity struct {
	dir      string
	instance string
	nonce    string
	lock     *os.File
}

// ErrDirInUse says that another process works with the data directory.
var ErrDirInUse = errors.New("data directory is in use by another worker: stop that one or give this one another --data-dir")

// ErrDirNotWritable says that the data directory cannot be made or written.
var ErrDirNotWritable = errors.New("data directory cannot be written: make it writable for this user or choose another one with --data-dir")

// openIdentity makes or reads the data directory and locks it for this process. The lock is the
// proof that an earlier process with the same directory is gone; the kernel releases it at death.
func openIdentity(dir string) (*identity, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("worker %w: %w", ErrDirNotWritable, err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("worker %w: %w", ErrDirNotWritable, err)
	}
	if err := tryLock(lock); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("worker data directory %s: %w", dir, err)
	}
	instance, err := readInstance(filepath.Join(dir, "instance"))
	if err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("worker data directory %s: %w", dir, err)
	}
	return &identity{dir: dir, instance: instance, nonce: uuid.NewString(), lock: lock}, nil
}

// readInstance reads the directory's identity, or makes one. A file that holds none is replaced:
// a crash between creating and writing it must not lock the worker out for ever.
func readInstance(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if id, err := uuid.Parse(strings.TrimSpace(string(data))); err == nil {
		return id.String(), nil
	}
	id := uuid.NewString()
	if err := os.WriteFile(path, []byte(id+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("%w: %w", ErrDirNotWritable, err)
	}
	return id, nil
}

// Close releases the directory.
func (i *identity) Close() error { return i.lock.Close() }
