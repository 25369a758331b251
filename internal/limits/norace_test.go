//go:build !race

package limits

const flood = 1_000_000
