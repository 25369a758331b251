package app

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// NoCoreDumps keeps the memory of this process, which holds opened keys, from
// being written to a disk when it crashes, and from being read by other
// processes of the same user. The limit alone is not enough: where the kernel
// hands dumps to a program, it does not count (core(5)).
func NoCoreDumps() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("turn core dumps off: %w", err)
	}
	if err := notDumpable(); err != nil {
		return fmt.Errorf("turn core dumps off: %w", err)
	}
	return nil
}
