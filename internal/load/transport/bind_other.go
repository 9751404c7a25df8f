//go:build !linux

package transport

import "syscall"

func lateBind(string, string, syscall.RawConn) error { return nil }
