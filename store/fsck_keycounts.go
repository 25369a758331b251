package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"strongroom/envelope"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// counterName names a counter for people.
func counterName(name string) string {
	if len(name) != countedSize {
		return name
	}
	n := binary.BigEndian.Uint32([]byte(name[3:]))
	switch name[:3] {
	case countedDEKs:
		return "wrapped keys under " + envelope.FormatKeyID(n)
	case countedTokens:
		return fmt.Sprintf("records with index tokens of generation %d", n)
	case countedControl:
		return "control values under " + envelope.FormatKeyID(n)
	case countedMACs:
		return fmt.Sprintf("idempotency keys of generation %d", n)
	}
	return name
}

// counts returns what was noted, by the names of the counters.
func (t *keyTally) counts() map[string]uint64 {
	counts := map[string]uint64{}
	for _, d := range t.deltas {
		counts[string(keyCounterKey(uid.Zero, d.kind, d.n)[len(uid.Zero):])] = uint64(d.by)
	}
	return counts
}

// saidOfKeys reads the counters of what lies under keys, and whether they are
// about to be counted anew.
func saidOfKeys(tx kv.ReadTx, c uid.UID) (said map[string]uint64, recount bool) {
	said = map[string]uint64{}
	for _, kind := range keyKinds(c) {
		for n, count := range keyCountsOf(tx, c, kind) {
			said[string(keyCounterKey(uid.Zero, kind, n)[len(uid.Zero):])] = count
		}
	}
	return said, counter(tx, c, counterRecount) != 0
}

// compareKeys tells where what is said and what was counted differ.
func compareKeys(where string, said, counted map[string]uint64) (found []Damage) {
	names := slices.Sorted(maps.Keys(said))
	for name := range counted {
		if _, known := said[name]; !known {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if said[name] != counted[name] {
			found = append(found, Damage{damagedCounter, where + ", " + counterName(name),
				fmt.Sprintf("it says %d, and %d were counted", said[name], counted[name])})
		}
	}
	return found
}

const systemPlace = "the system domain"

// systemCounts counts control values and idempotency keys, and compares. Where
// they changed meanwhile they are counted once more, all in one transaction.
func (f *fsck) systemCounts() error {
	var t keyTally
	err := errors.Join(
		f.scan(kv.Control, nil, nil, func(_ kv.ReadTx, _, value []byte) { t.control(value, 1) }),
		f.scan(kv.Idempotency, nil, nil, func(_ kv.ReadTx, _, value []byte) { t.mac(value, 1) }),
	)
	if err != nil {
		return err
	}
	differ := false
	if err := f.view(func(tx kv.ReadTx) { differ = len(judgeSystem(tx, &t)) > 0 }); err != nil || !differ {
		return err
	}
	return f.view(func(tx kv.ReadTx) {
		var t keyTally
		tx.Scan(kv.Control, nil, nil, func(_, value []byte) bool { t.control(value, 1); return true })
		tx.Scan(kv.Idempotency, nil, nil, func(_, value []byte) bool { t.mac(value, 1); return true })
		f.add(judgeSystem(tx, &t)...)
	})
}

func judgeSystem(tx kv.ReadTx, t *keyTally) []Damage {
	said, recount := saidOfKeys(tx, uid.Zero)
	if recount {
		return nil
	}
	return compareKeys(systemPlace, said, t.counts())
}

// systemCounter judges a counter of the system domain by itself.
func (f *fsck) systemCounter(_ kv.ReadTx, key, value []byte) []Damage {
	name := string(key[len(uid.Zero):])
	if name != counterRecount && !isKeyCounter(uid.Zero, name) {
		return []Damage{{damagedCounter, systemPlace, fmt.Sprintf("an entry of %d bytes has not the key that it should have", len(key))}}
	}
	if len(value) != 8 {
		return []Damage{{damagedCounter, systemPlace + ", " + counterName(name), "its bytes have not the layout that they should have"}}
	}
	return nil
}

// checkStates judges what the keys of a domain are said to be allowed: each has
// its keyset, and each keyset is told of.
func (f *fsck) checkStates(tx kv.ReadTx, domain uid.UID) {
	add := func(format string, args ...any) {
		f.add(Damage{damagedKeyset, f.domainName(domain), fmt.Sprintf(format, args...)})
	}
	g, err := decodeGeneration(tx.Get(kv.Generations, domain[:]))
	switch {
	case err != nil && !domain.IsZero(): // told of with the integration
		return
	case err != nil:
		add("what its keys may do cannot be read")
		return
	case g.states == "":
		add("what its keys may do is as an older program wrote it")
		return
	}
	if err := checkHistory(tx, f.system, domain); err != nil {
		add("%v", err)
	}
	stored := map[keyState]bool{}
	for _, k := range readKeysets(tx, domain) {
		stored[keyState{k.Purpose, k.Generation, 0}] = true
		if g.state(k.Purpose, k.Generation) == 0 {
			add("a %s keyset of generation %d that is none of its keys: it was destroyed, or put there", k.Purpose, k.Generation)
		}
	}
	for _, k := range g.keys() {
		if k.state = 0; ofSystem(k.purpose) != domain.IsZero() {
			add("a %s key that it cannot have", k.purpose)
		} else if !stored[k] {
			add("its %s key of generation %d has no keyset", k.purpose, k.generation)
		}
	}
}
