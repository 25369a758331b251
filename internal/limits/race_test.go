//go:build race

package limits

// flood is how many addresses come under the race detector, which makes each ten
// times as slow: enough to fill every table.
const flood = 250_000
