package bolt

import (
	"cmp"
	"errors"
	"slices"

	"strongroom/store/kv"
)

// dirtyLog collects the keys that commits change while a copy is being made.
type dirtyLog struct {
	keys map[dirtyKey]struct{}
	lost bool // the outcome of a commit is unknown: the copy can't be trusted
}

type dirtyKey struct {
	table kv.Table
	key   string
}

// errLost ends a copy during which the engine lost track of what was stored.
var errLost = errors.New("a commit with an unknown outcome came in between")

// recordDirty takes note of what a commit changed. It is called with writeMu
// held.
func (e *Engine) recordDirty(changes []entry, err error) {
	switch {
	case e.dirty == nil:
	case err == nil:
		for _, c := range changes {
			e.dirty.keys[dirtyKey{c.table, string(c.key)}] = struct{}{}
		}
	case errors.Is(err, kv.ErrOutcomeUnknown):
		e.dirty.lost = true
	}
}

// watch begins to collect. It waits for the batch that is under way, so that
// whatever commits later is collected.
func (e *Engine) watch() {
	e.writeMu.Lock()
	defer e.writeMu.Unlock()
	e.dirty = &dirtyLog{keys: map[dirtyKey]struct{}{}}
}

func (e *Engine) unwatch() {
	e.writeMu.Lock()
	defer e.writeMu.Unlock()
	e.dirty = nil
}

// takeDirty returns the keys collected so far, in order, and starts over.
func (e *Engine) takeDirty() ([]dirtyKey, error) {
	e.writeMu.Lock()
	defer e.writeMu.Unlock()
	return e.takeDirtyLocked()
}

// takeDirtyLocked is takeDirty with writeMu held.
func (e *Engine) takeDirtyLocked() ([]dirtyKey, error) {
	if e.dirty.lost {
		return nil, errLost
	}
	keys := make([]dirtyKey, 0, len(e.dirty.keys))
	for k := range e.dirty.keys {
		keys = append(keys, k)
	}
	clear(e.dirty.keys)
	slices.SortFunc(keys, func(a, b dirtyKey) int {
		return cmp.Or(cmp.Compare(a.table, b.table), cmp.Compare(a.key, b.key))
	})
	return keys, nil
}

// dirtyCount returns how many keys wait.
func (e *Engine) dirtyCount() int {
	e.writeMu.Lock()
	defer e.writeMu.Unlock()
	return len(e.dirty.keys)
}
