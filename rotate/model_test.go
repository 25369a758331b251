package rotate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"strongroom/envelope"
	"strongroom/internal/access"
	"strongroom/internal/attest"
	"strongroom/internal/uid"
	"strongroom/store"
)

// model is a store in memory that keeps what the steps of a rotation promise,
// and can be told to fail at any call: before its effect, after it, or for good,
// as a crash does. It watches over what must never happen.
type model struct {
	uid     uid.UID
	now     func() time.Time
	rows    map[string]store.Row
	domains []*modelDomain
	nextID  uint32
	signer  attest.Key
	rotated int // keys of reports
	ended   int // how often tokens were
	load    store.Load

	keysAway bool // the key service is
	busy     bool // something else must be alone
	noBackup bool
	fail     func(call string, after bool) error // nil: nothing fails
	crashed  bool
	calls    int
	wrong    []string
}

type modelDomain struct {
	store.KeyDomain
	gone    bool
	keys    []*modelKey
	values  map[envelope.Purpose][]uint32 // key id of each value
	latest  int
	minimum int
	trimmed int
}

type modelKey struct {
	Key
	kek      int
	primary  bool // it once was
	verified bool // a scan found nothing under it, and nothing came since
	gone     bool
}

var errCrash = errors.New("the process was killed")

func newModel(now func() time.Time, names ...string) *model {
	id := uid.New()
	signer, err := attest.NewKey(store.SignerName(id))
	if err != nil {
		panic(err)
	}
	m := &model{uid: id, now: now, rows: map[string]store.Row{}, signer: signer}
	for _, name := range names {
		m.addDomain(store.KeyDomain{Integration: name, UID: uid.New()}, envelope.PurposeWrapping, envelope.PurposeIndex)
	}
	m.addDomain(store.KeyDomain{}, envelope.PurposeSystem, envelope.PurposeSystemMAC)
	return m
}

func (m *model) addDomain(d store.KeyDomain, purposes ...envelope.Purpose) {
	md := &modelDomain{KeyDomain: d, values: map[envelope.Purpose][]uint32{}, latest: 1, minimum: 1, trimmed: 1}
	for _, p := range purposes {
		k := m.newKey(md, p)
		k.State, k.primary = envelope.StatePrimary, true
	}
	m.domains = append(m.domains, md)
}

func (m *model) newKey(d *modelDomain, p envelope.Purpose) *modelKey {
	m.nextID++
	generation := uint32(1)
	for _, k := range d.keys {
		if k.Purpose == p {
			generation = k.Generation + 1
		}
	}
	k := &modelKey{Key: Key{Purpose: p, Generation: generation, KeyID: m.nextID, State: envelope.StatePending}, kek: d.latest}
	d.keys = append(d.keys, k)
	return k
}

func (d *modelDomain) primary(p envelope.Purpose) *modelKey {
	for _, k := range d.keys {
		if k.Purpose == p && !k.gone && k.State == envelope.StatePrimary {
			return k
		}
	}
	return nil
}

func (d *modelDomain) under(id uint32) (n uint64) {
	for _, values := range d.values {
		for _, v := range values {
			if v == id {
				n++
			}
		}
	}
	return n
}

// write puts a value under each primary key, as a request does.
func (m *model) write(d *modelDomain) {
	for _, p := range []envelope.Purpose{envelope.PurposeWrapping, envelope.PurposeIndex, envelope.PurposeSystem, envelope.PurposeSystemMAC} {
		if k := d.primary(p); k != nil {
			k.verified = false
			d.values[p] = append(d.values[p], k.KeyID)
		}
	}
}

func (m *model) fault(format string, args ...any) {
	m.wrong = append(m.wrong, fmt.Sprintf(format, args...))
}

// call runs a primitive, or fails it.
func (m *model) call(name string, do func() error) error {
	m.calls++
	if m.crashed {
		return errCrash
	}
	if m.fail != nil {
		if err := m.fail(name, false); err != nil {
			return err
		}
	}
	if err := do(); err != nil {
		return err
	}
	if m.fail != nil {
		return m.fail(name, true)
	}
	return nil
}

// keyCall is call for what needs the key service.
func (m *model) keyCall(name string, do func() error) error {
	return m.call(name, func() error {
		if m.keysAway {
			return store.ErrKeyServiceUnavailable
		}
		return do()
	})
}

func (m *model) find(d store.KeyDomain) (*modelDomain, error) {
	for _, md := range m.domains {
		if md.KeyDomain == d && !md.gone {
			return md, nil
		}
	}
	return nil, store.ErrNotFound
}

func (m *model) UID() uid.UID { return m.uid }

func (m *model) Rows(_ context.Context, kind store.RowKind) (out []store.Row, err error) {
	err = m.call("Rows", func() error {
		for _, key := range slices.Sorted(maps.Keys(m.rows)) {
			if row := m.rows[key]; row.Kind == kind {
				out = append(out, row)
			}
		}
		return nil
	})
	return out, err
}

func (m *model) put(rows []store.Row) error {
	for _, row := range rows {
		if on := m.rows[string(row.Kind)+"/"+row.ID].Version; on != row.Version {
			return &store.Conflict{Detail: fmt.Sprintf("%s %s is at version %d, not %d", row.Kind, row.ID, on, row.Version)}
		}
	}
	for _, row := range rows {
		key := string(row.Kind) + "/" + row.ID
		if row.Doc == nil {
			delete(m.rows, key)
			continue
		}
		row.Version++
		m.rows[key] = row
	}
	return nil
}

func (m *model) PutRows(_ context.Context, c store.Caller, _ string, rows ...store.Row) error {
	if err := m.AuthoriseRow(c, "", "", ""); err != nil {
		return err
	}
	return m.call("PutRows", func() error { return m.put(rows) })
}

func (m *model) DescribeRow(c store.Caller, kind store.RowKind, id string) error {
	return m.AuthoriseRow(c, "describe", kind, id)
}

func (m *model) AuthoriseRow(c store.Caller, _ string, _ store.RowKind, _ string) error {
	if !strings.HasPrefix(c.Client, "strongroom/") && !c.Policy.Can(access.OperateKeys) {
		return store.ErrForbidden
	}
	return nil
}

func (m *model) RenewSigners(_ context.Context, endTokens bool) error {
	m.rotated++
	if endTokens {
		m.ended++
	}
	return nil
}

func (m *model) Attest(_ context.Context, kind string, doc any) ([]byte, error) {
	return m.signer.Sign(kind, m.now(), doc)
}

func (m *model) Foreground() store.Load { return m.load }

func (m *model) KeyDomains(store.Caller) (out []store.KeyDomain, err error) {
	err = m.call("KeyDomains", func() error {
		for _, d := range m.domains {
			if !d.gone {
				out = append(out, d.KeyDomain)
			}
		}
		return nil
	})
	return out, err
}

func (m *model) Keys(ctx context.Context, c store.Caller) (out []store.DomainKeys, err error) {
	for _, d := range m.domains {
		if !d.gone {
			out = append(out, d.inventory())
		}
	}
	return out, nil
}

func (m *model) KeysOf(_ context.Context, _ store.Caller, d store.KeyDomain) (out store.DomainKeys, err error) {
	err = m.call("KeysOf", func() error {
		md, err := m.find(d)
		if err == nil {
			out = md.inventory()
		}
		return err
	})
	return out, err
}

func (d *modelDomain) inventory() store.DomainKeys {
	out := store.DomainKeys{KeyDomain: d.KeyDomain, KEK: store.KEKState{Name: "kek", Latest: d.latest}}
	for _, k := range d.keys {
		state := k.State.String()
		if k.gone {
			state = store.KeyDestroyed
		}
		out.Keys = append(out.Keys, store.KeyState{
			Purpose: k.Purpose.String(), Generation: k.Generation, KeyID: envelope.FormatKeyID(k.KeyID),
			State: state, Values: d.under(k.KeyID), KEKVersion: k.kek,
		})
	}
	return out
}

// change runs a change of keys, with rows in its transaction.
func (m *model) change(name string, d store.KeyDomain, rows []store.Row, do func(*modelDomain) error) error {
	return m.keyCall(name, func() error {
		md, err := m.find(d)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if on := m.rows[string(row.Kind)+"/"+row.ID].Version; on != row.Version {
				return &store.Conflict{Detail: "stale row " + row.ID}
			}
		}
		if err := do(md); err != nil {
			return err
		}
		return m.put(rows)
	})
}

func (m *model) AddKeysets(_ context.Context, _ store.Caller, d store.KeyDomain, purposes []envelope.Purpose, rows ...store.Row) (refs []envelope.KeyRef, err error) {
	err = m.change("AddKeysets", d, rows, func(md *modelDomain) error {
		for _, p := range purposes {
			i := slices.IndexFunc(md.keys, func(k *modelKey) bool { return k.Purpose == p && !k.gone && k.State == envelope.StatePending })
			if i < 0 {
				m.newKey(md, p)
				i = len(md.keys) - 1
			}
			refs = append(refs, md.keys[i].Key)
		}
		return nil
	})
	return refs, err
}

func (m *model) each(name string, d store.KeyDomain, refs []envelope.KeyRef, rows []store.Row, do func(*modelDomain, *modelKey) error) error {
	return m.change(name, d, rows, func(md *modelDomain) error {
		for _, ref := range refs {
			for _, k := range md.keys {
				if k.Purpose != ref.Purpose || k.Generation != ref.Generation {
					continue
				}
				if k.KeyID != ref.KeyID {
					m.fault("%s: generation %d has the key id %d, not %d", name, k.Generation, k.KeyID, ref.KeyID)
				}
				if err := do(md, k); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (m *model) PromoteKeysets(_ context.Context, _ store.Caller, d store.KeyDomain, refs []envelope.KeyRef, rows ...store.Row) error {
	return m.each("PromoteKeysets", d, refs, rows, func(md *modelDomain, k *modelKey) error {
		switch {
		case k.gone || k.State == envelope.StateDisabled:
			return &store.Conflict{Detail: "a key that is disabled or destroyed was promoted"}
		case k.State == envelope.StatePrimary:
			return nil
		}
		md.primary(k.Purpose).State = envelope.StateEnabled
		k.State, k.primary = envelope.StatePrimary, true
		return nil
	})
}

// empty refuses what would take a key away from values.
func (m *model) empty(md *modelDomain, k *modelKey, what string) error {
	if k.State == envelope.StatePrimary {
		return &store.Conflict{Detail: "a primary key was " + what}
	}
	if n := md.under(k.KeyID); n > 0 {
		return &store.Conflict{Detail: fmt.Sprintf("a key with %d values was %s", n, what)}
	}
	if k.primary && !k.verified {
		m.fault("a key that no scan has verified was %s", what)
	}
	return nil
}

func (m *model) DisableKeysets(_ context.Context, _ store.Caller, d store.KeyDomain, refs []envelope.KeyRef, rows ...store.Row) error {
	return m.each("DisableKeysets", d, refs, rows, func(md *modelDomain, k *modelKey) error {
		if k.State == envelope.StateDisabled {
			return nil
		}
		err := m.empty(md, k, "disabled")
		if err == nil {
			k.State = envelope.StateDisabled
		}
		return err
	})
}

func (m *model) EnableKeysets(_ context.Context, _ store.Caller, d store.KeyDomain, refs []envelope.KeyRef, rows ...store.Row) error {
	return m.each("EnableKeysets", d, refs, rows, func(md *modelDomain, k *modelKey) error {
		if k.gone {
			return &store.Conflict{Detail: "a destroyed key was enabled"}
		}
		if k.State == envelope.StateDisabled {
			k.State = envelope.StateEnabled
		}
		return nil
	})
}

func (m *model) DestroyKeysets(_ context.Context, _ store.Caller, d store.KeyDomain, refs []envelope.KeyRef, rows ...store.Row) error {
	return m.each("DestroyKeysets", d, refs, rows, func(md *modelDomain, k *modelKey) error {
		if k.gone {
			return nil
		}
		err := m.empty(md, k, "destroyed")
		if err == nil {
			k.gone = true
		}
		return err
	})
}

// modelSweeper moves values in the order in which they lie.
type modelSweeper struct {
	m    *model
	d    store.KeyDomain
	o    store.SweepOptions
	from int
}

func (m *model) Sweep(_ store.Caller, d store.KeyDomain, o store.SweepOptions) Sweeper {
	s := &modelSweeper{m: m, d: d, o: o}
	if o.From != "" {
		if err := json.Unmarshal([]byte(o.From), &s.from); err != nil {
			m.fault("a cursor that no sweep has made: %v", err)
		}
	}
	return s
}

func (s *modelSweeper) Step(_ context.Context, b store.Budget, rows func(store.SweepDelta) []store.Row) (delta store.SweepDelta, err error) {
	next := s.from
	err = s.m.keyCall("Sweep", func() error {
		md, err := s.m.find(s.d)
		if err != nil {
			return err
		}
		delta = store.SweepDelta{Took: time.Duration(b.Entries) * 4 * time.Microsecond, Held: time.Duration(b.Entries) * time.Microsecond}
		moves := map[*uint32]uint32{}
		longest := 0
		for p, values := range md.values {
			longest = max(longest, len(values))
			if p == envelope.PurposeSystemMAC || p == envelope.PurposeIndex && !s.o.Reindex {
				continue
			}
			for i := s.from; i < min(s.from+b.Entries, len(values)); i++ {
				delta.Scanned++
				if to := md.primary(p).KeyID; values[i] != to {
					moves[&values[i]] = to
					s.count(&delta, p)
				}
			}
		}
		next = s.from + b.Entries
		raw, _ := json.Marshal(next)
		delta.Cursor, delta.Done = store.Cursor(raw), next >= longest
		if len(moves) == 0 {
			return nil
		}
		if err := s.m.put(rows(delta)); err != nil {
			return err
		}
		for at, to := range moves {
			*at = to
		}
		return nil
	})
	if err == nil {
		s.from = next
	}
	return delta, err
}

func (s *modelSweeper) count(d *store.SweepDelta, p envelope.Purpose) {
	switch {
	case p == envelope.PurposeIndex:
		d.Reindexed++
	case s.o.Reseal && p == envelope.PurposeWrapping:
		d.Resealed++
	default:
		d.Rewrapped++
	}
}

func (m *model) VerifyKeysets(_ context.Context, _ store.Caller, d store.KeyDomain, old []envelope.KeyRef, _ func(done, all uint64)) (scan store.Scan, err error) {
	err = m.call("VerifyKeysets", func() error {
		if m.busy {
			return store.ErrBusy
		}
		md, err := m.find(d)
		if err != nil {
			return err
		}
		for _, values := range md.values {
			scan.Values += uint64(len(values))
		}
		for _, ref := range old {
			scan.Left += md.under(ref.KeyID)
		}
		if scan.Left > 0 {
			return &store.LeftBehind{Domain: d, Scan: scan}
		}
		for _, ref := range old {
			for _, k := range md.keys {
				k.verified = k.verified || k.KeyID == ref.KeyID
			}
		}
		return nil
	})
	return scan, err
}

func (m *model) kek(name string, d store.KeyDomain, do func(*modelDomain) error) error {
	return m.keyCall(name, func() error {
		md, err := m.find(d)
		if err != nil {
			return err
		}
		return do(md)
	})
}

func (m *model) KEKLatest(_ context.Context, _ store.Caller, d store.KeyDomain) (n int, err error) {
	err = m.kek("KEKLatest", d, func(md *modelDomain) error { n = md.latest; return nil })
	return n, err
}

func (m *model) RotateKEK(_ context.Context, _ store.Caller, d store.KeyDomain, from int) (n int, err error) {
	err = m.kek("RotateKEK", d, func(md *modelDomain) error {
		if md.latest == from {
			md.latest++
		}
		n = md.latest
		return nil
	})
	return n, err
}

func (m *model) RewrapKeysets(_ context.Context, _ store.Caller, d store.KeyDomain, rows ...store.Row) (n int, err error) {
	err = m.change("RewrapKeysets", d, rows, func(md *modelDomain) error {
		for _, k := range md.keys {
			if !k.gone && k.kek < md.latest {
				k.kek = md.latest
				n++
			}
		}
		return nil
	})
	return n, err
}

func (m *model) KEKLeft(_ context.Context, d store.KeyDomain, version int) (n int, err error) {
	err = m.call("KEKLeft", func() error {
		md, err := m.find(d)
		if err == nil {
			n = md.below(version)
		}
		return err
	})
	return n, err
}

func (d *modelDomain) below(version int) (n int) {
	for _, k := range d.keys {
		if !k.gone && k.kek < version {
			n++
		}
	}
	return n
}

func (m *model) RetireKEK(_ context.Context, _ store.Caller, d store.KeyDomain, version int) error {
	return m.kek("RetireKEK", d, func(md *modelDomain) error {
		if md.below(version) > 0 {
			m.fault("a version of a KEK was retired that keysets are under")
		}
		md.minimum = max(md.minimum, version)
		return nil
	})
}

func (m *model) TrimKEK(_ context.Context, _ store.Caller, d store.KeyDomain, version int) error {
	return m.kek("TrimKEK", d, func(md *modelDomain) error {
		if m.noBackup {
			return store.ErrNoBackup
		}
		if md.below(version) > 0 || md.minimum < version {
			m.fault("a version of a KEK was trimmed that was not retired")
		}
		md.trimmed = max(md.trimmed, version)
		return nil
	})
}
