package limits

import "sync/atomic"

const (
	// exactCount is how many members a set holds by themselves. A set for more
	// keeps one in two, four, eight... of them, chosen by their hashes, and
	// counts it as so many (Flajolet, On adaptive sampling, 1990): its standard
	// error is then 0.6 % or less.
	exactCount = 65_536
	// poolWords bounds the memory of all sets, in words of 8 bytes. A set that
	// gets no more of it keeps fewer members, as one for more does.
	poolWords = 4 << 20
	staleAge  = slots
	purgeAge  = 128 // slices; a member's slice is kept modulo 256
)

// distinct counts distinct members within a window that slides as a counter's
// does.
//
// Layout of a word, 0 when it is free:
//
//	56 bits of the member's hash | 8 bits of the slice it was last seen in
type distinct struct {
	words  []uint64 // open addressing; at most three quarters are taken
	taken  int      // words, with those that left the window
	shift  uint8    // one member in 1<<shift is kept
	head   int64    // the newest slice
	purged int64    // the slice of the last purge
	live   [slots]uint32
	pool   *atomic.Int64 // words that all sets have
}

// newDistinct makes a set for a limit: it need not hold more members than that.
func newDistinct(limit uint64, pool *atomic.Int64) *distinct {
	d := &distinct{pool: pool}
	for limit>>d.shift > exactCount {
		d.shift++
	}
	return d
}

// advance forgets what left the window.
func (d *distinct) advance(slice int64) {
	gone := slice - d.head
	if gone <= 0 {
		return
	}
	for s := max(d.head+1, slice-slots+1); s <= slice; s++ {
		d.live[s&(slots-1)] = 0
	}
	d.head = slice
	switch {
	case len(d.words) > 0 && d.count() == 0:
		d.release()
	case slice-d.purged >= purgeAge:
		d.rebuild(len(d.words))
	}
}

// count returns how many distinct members were seen within the window.
func (d *distinct) count() (sum uint64) {
	for _, n := range d.live {
		sum += uint64(n)
	}
	return sum << d.shift
}

// kept reports whether a member of this hash is among those that are kept.
func (d *distinct) kept(h uint64) bool { return h>>8&(1<<d.shift-1) == 0 }

// has reports whether a member was seen within the window. Of a member that is
// not kept it is not known: false.
func (d *distinct) has(h uint64) bool {
	if len(d.words) == 0 || !d.kept(h) {
		return false
	}
	i, found := d.find(h)
	return found && d.fresh(d.words[i])
}

func (d *distinct) fresh(word uint64) bool { return uint8(uint64(d.head)-word) < staleAge }

// find returns the place of a member, or the free one where it would be.
func (d *distinct) find(h uint64) (int, bool) {
	mask := len(d.words) - 1
	for i := int(h>>32) & mask; ; i = (i + 1) & mask {
		switch w := d.words[i]; {
		case w == 0:
			return i, false
		case w>>8 == h>>8:
			return i, true
		}
	}
}

// add notes that a member was seen now.
func (d *distinct) add(h uint64) {
	if !d.kept(h) {
		return
	}
	if 4*(d.taken+1) > 3*len(d.words) {
		if d.makeRoom(); !d.kept(h) {
			return
		}
	}
	i, found := d.find(h)
	switch {
	case !found:
		d.taken++
	case d.fresh(d.words[i]):
		d.live[d.words[i]&(slots-1)]--
	}
	d.words[i] = h&^255 | uint64(uint8(d.head))
	d.live[d.head&(slots-1)]++
}

// makeRoom drops what left the window, takes more words, or, when there are none
// to be had, keeps one member in twice as many.
func (d *distinct) makeRoom() {
	size := d.sizeFor()
	if extra := int64(size - len(d.words)); extra > 0 && d.pool.Add(extra) > poolWords && size > least {
		d.pool.Add(-extra)
		d.shift++
		size = max(least, len(d.words))
	}
	d.rebuild(size)
}

// least is how many words a set that is not empty has.
const least = 16

// sizeFor returns how many words the live members need, at most half of them
// taken; it never asks for fewer than there are.
func (d *distinct) sizeFor() int {
	size := max(least, len(d.words))
	for uint64(size) < 2*(d.count()>>d.shift+1) {
		size *= 2
	}
	return size
}

// rebuild puts what counts into a table of another size.
func (d *distinct) rebuild(size int) {
	old := d.words
	d.words, d.taken, d.purged = make([]uint64, size), 0, d.head
	d.live = [slots]uint32{}
	for _, w := range old {
		if w != 0 && d.fresh(w) && d.kept(w) {
			i, _ := d.find(w)
			d.words[i] = w
			d.taken++
			d.live[w&(slots-1)]++
		}
	}
}

// release gives the set's words back.
func (d *distinct) release() {
	d.pool.Add(-int64(len(d.words)))
	*d = distinct{shift: d.shift, head: d.head, purged: d.head, pool: d.pool}
}
