//go:build !linux

package transport

import (
	"errors"
	"syscall"
)

// NewCollector returns a Collector, or errors.ErrUnsupported.
func NewCollector() (*Collector, error) { return nil, errors.ErrUnsupported }

type pollSet struct{}

func (*pollSet) adopt(int) (int, error)               { return -1, errors.ErrUnsupported }
func (*pollSet) add(int) error                        { return errors.ErrUnsupported }
func (*pollSet) remove(int)                           {}
func (*pollSet) ready(func(fd int, came, ended bool)) {}
func (*pollSet) close() error                         { return nil }

type message struct{}

func (*message) receive(int, []byte) (n int, at int64, errno syscall.Errno) {
	return 0, 0, syscall.ENOSYS
}

func quiet(int) bool { return false }
