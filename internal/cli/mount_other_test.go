//go:build !linux

package cli

import "errors"

func canMount() bool { return false }

func mount(string, string) error { return errors.ErrUnsupported }

func unmount(string) error { return errors.ErrUnsupported }
