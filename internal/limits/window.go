package limits

import (
	"math"
	"time"
)

// slots is how many slices a window is counted in.
const slots = 16

// counter counts within a window that slides by slices of a fifteenth of its
// span: what was counted leaves when its slice is sixteen slices old, so it
// counts for one span at least and for a fifteenth more at most. Hence no span
// of the window's length ever holds more than the limit.
type counter struct {
	head  int64 // the newest slice: unix time divided by a slice's length
	count [slots]uint32
}

// sliceOf returns how long a slice of a window is, in nanoseconds.
func sliceOf(span Span) int64 { return int64(span) / (slots - 1) }

// advance forgets what left the window. Time that went back counts as the
// newest slice.
func (c *counter) advance(slice int64) {
	gone := slice - c.head
	if gone <= 0 {
		return
	}
	if gone >= slots {
		c.count = [slots]uint32{}
	} else {
		for s := c.head + 1; s <= slice; s++ {
			c.count[s&(slots-1)] = 0
		}
	}
	c.head = slice
}

func (c *counter) used() (sum uint64) {
	for _, n := range c.count {
		sum += uint64(n)
	}
	return sum
}

func (c *counter) add(n uint64) {
	at := &c.count[c.head&(slots-1)]
	*at = uint32(min(uint64(*at)+n, math.MaxUint32))
}

// freeAt returns when enough has left that need fits under the limit: the
// instant, in unix nanoseconds. It is called when need does not fit now; a need
// beyond the limit fits never, and the instant is when all has left.
func (c *counter) freeAt(limit, need uint64, slice int64) int64 {
	left := c.used()
	for s := c.head - slots + 1; s <= c.head; s++ {
		n := uint64(c.count[s&(slots-1)])
		left -= n
		if n > 0 && left+need <= limit {
			return (s + slots) * slice
		}
	}
	return (c.head + slots) * slice
}

// oldestLeaves returns when the first of what is counted leaves; now, when
// nothing is counted.
func (c *counter) oldestLeaves(slice, now int64) int64 {
	for s := c.head - slots + 1; s <= c.head; s++ {
		if c.count[s&(slots-1)] > 0 {
			return (s + slots) * slice
		}
	}
	return now
}

// seconds rounds a wait up to whole seconds, at least one.
func seconds(wait time.Duration) int {
	return int(max(1, (wait+time.Second-1)/time.Second))
}
