//go:build !linux

package guard

// firstMain is not run: only Linux has containers, and processes that inherit orphans without being process 1.
func firstMain([]string) {}
