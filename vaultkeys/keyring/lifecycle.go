package keyring

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"strongroom/vaultkeys"
)

// Create makes a key.
func (p *Provider) Create(_ context.Context, key vaultkeys.KeyName) error {
	return p.change(func(doc *document) error {
		if doc.Keys[key] != nil {
			return fmt.Errorf("key %s: %w", key, vaultkeys.ErrKeyExists)
		}
		doc.Keys[key] = &record{Latest: 1, Versions: map[int]*version{1: newVersion()}}
		return nil
	})
}

func newVersion() *version {
	v := &version{Key: make([]byte, keySize), CreatedAt: time.Now().UTC()}
	rand.Read(v.Key)
	return v
}

// Rotate adds a version to a key.
func (p *Provider) Rotate(_ context.Context, key vaultkeys.KeyName) (latest int, err error) {
	err = p.change(func(doc *document) error {
		r := doc.Keys[key]
		if r == nil {
			return notFound(key)
		}
		latest = r.Latest + 1
		versions := maps.Clone(r.Versions)
		versions[latest] = newVersion()
		doc.Keys[key] = &record{Latest: latest, Minimum: r.Minimum, Versions: versions}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return latest, nil
}

// SetMinimum makes a version the lowest that unwraps. The bytes of those below
// stay in the file, so that it can be taken back.
func (p *Provider) SetMinimum(_ context.Context, key vaultkeys.KeyName, number int) error {
	return p.change(func(doc *document) error {
		r := doc.Keys[key]
		switch {
		case r == nil:
			return notFound(key)
		case number > r.Latest || number < r.available():
			return badVersion(key, "it must be one of %d to %d", r.available(), r.Latest)
		case number == r.minimum():
			return errNoChange
		}
		doc.Keys[key] = &record{Latest: r.Latest, Minimum: number, Versions: r.Versions}
		return nil
	})
}

// Trim removes versions of a key from the file. Copies of the file still have
// them.
func (p *Provider) Trim(_ context.Context, key vaultkeys.KeyName, number int) error {
	return p.change(func(doc *document) error {
		r := doc.Keys[key]
		switch {
		case r == nil:
			return notFound(key)
		case number > r.minimum():
			return badVersion(key, "versions below %d may still unwrap: the lowest that does must be raised first", number)
		case number <= r.available():
			return errNoChange
		}
		versions := maps.Clone(r.Versions)
		maps.DeleteFunc(versions, func(n int, _ *version) bool { return n < number })
		doc.Keys[key] = &record{Latest: r.Latest, Minimum: r.Minimum, Versions: versions}
		return nil
	})
}

func badVersion(key vaultkeys.KeyName, why string, numbers ...any) error {
	return fmt.Errorf("key %s: %s: %w", key, fmt.Sprintf(why, numbers...), vaultkeys.ErrVersion)
}

// Destroy removes a key from the file. Copies of the file still have it.
func (p *Provider) Destroy(_ context.Context, key vaultkeys.KeyName) error {
	return p.change(func(doc *document) error {
		if doc.Keys[key] == nil {
			return notFound(key)
		}
		delete(doc.Keys, key)
		return nil
	})
}

// change writes the edited document and only then works with it: a failure
// leaves file and memory as they were. Where it is not sure that the file lasts,
// work goes on with what is in the old one and in the new one: nothing is sealed
// under a key that a crash could take away. That is written before anything else
// is done, so that a change which finds nothing to do is sure to last as well.
func (p *Provider) change(edit func(*document) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ciphers == nil {
		return errClosed
	}
	if p.unsure {
		if err := p.put(p.doc); err != nil {
			return err
		}
	}
	next := &document{Format: fileFormat, Keys: maps.Clone(p.doc.Keys)}
	if err := edit(next); err != nil {
		if errors.Is(err, errNoChange) {
			return nil
		}
		return err
	}
	return p.put(next)
}

// put writes a document and makes it the one that is worked with.
func (p *Provider) put(next *document) error {
	err := p.writer.write(next)
	if err == nil {
		p.unsure = false
		return p.use(next)
	}
	if errors.Is(err, errUnsure) {
		p.unsure = true
		err = errors.Join(err, p.use(common(p.doc, next)))
	}
	return errors.Join(vaultkeys.ErrUnavailable, err)
}

// errNoChange ends a change that finds everything as it is to be.
var errNoChange = errors.New("nothing to change")

// common returns what both documents have: the keys, of each the versions, and
// the older newest one, under which what is sealed opens whichever file stays.
func common(old, next *document) *document {
	both := &document{Format: fileFormat, Keys: maps.Clone(old.Keys)}
	maps.DeleteFunc(both.Keys, func(name vaultkeys.KeyName, _ *record) bool { return next.Keys[name] == nil })
	for name, r := range both.Keys {
		if other := next.Keys[name]; other != r {
			both.Keys[name] = r.common(other)
		}
	}
	return both
}

func (r *record) common(next *record) *record {
	both := &record{Latest: r.Latest, Minimum: max(r.Minimum, next.Minimum), Versions: maps.Clone(r.Versions)}
	maps.DeleteFunc(both.Versions, func(n int, _ *version) bool { return next.Versions[n] == nil })
	return both
}

// Describe tells the versions of a key.
func (p *Provider) Describe(_ context.Context, key vaultkeys.KeyName) (vaultkeys.KeyInfo, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	r, err := p.find(key)
	if err != nil {
		return vaultkeys.KeyInfo{}, err
	}
	info := vaultkeys.KeyInfo{Latest: r.Latest, Minimum: r.minimum(), Available: r.available()}
	for _, n := range slices.Sorted(maps.Keys(r.Versions)) {
		info.Versions = append(info.Versions, vaultkeys.KeyVersion{Version: n, CreatedAt: r.Versions[n].CreatedAt})
	}
	return info, nil
}
