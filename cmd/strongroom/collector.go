package main

import (
	"os"
	"runtime/debug"
)

// collectorPercent is how far a serving process's heap grows between two
// collections, in percent of what is alive. What is alive in it is small (the
// control plane, keysets, buffers), while every request allocates some
// kilobytes: with Go's default of 100 it collects dozens of times a second.
const collectorPercent = 400

// spareCollector trades memory for time, unless the environment has settled it:
// GOGC as ever, and GOMEMLIMIT bounds the memory in any case.
func spareCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectorPercent)
	}
}
