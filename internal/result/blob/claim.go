package blob

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrInUse says that another process writes to the store, or works on it alone.
var ErrInUse = errors.New("store is in use by another process")

// claim marks the store as written by this process: beside others, or alone. The kernel drops the
// claim with the process. A file system without locks has no claims.
func claim(dir string, alone bool) (*os.File, error) {
	file, err := os.Open(filepath.Join(dir, tempDir))
	if err != nil {
		return nil, err
	}
	how := unix.LOCK_SH
	if alone {
		how = unix.LOCK_EX
	}
	if err := unix.Flock(int(file.Fd()), how|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		_ = file.Close() // nothing was written
		return nil, fmt.Errorf("%w: %s", ErrInUse, dir)
	}
	return file, nil
}
