package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"strongroom/envelope"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// VerifyKeysets proves that nothing of a domain is under the old keys: the
// counters say 0, and a scan that looks at every value finds none, and opens
// every value under a key that is kept. Otherwise it fails with a *LeftBehind.
// Writes under the old keys are refused since they were retired, so that no
// single moment of the data has to be looked at. Backups and compactions are
// kept away meanwhile. Progress, which may be nil, is told now and then how many
// values of about how many were looked at.
func (s *Store) VerifyKeysets(ctx context.Context, c Caller, d KeyDomain, old []envelope.KeyRef, progress func(done, all uint64)) (scan Scan, err error) {
	op := s.startKeys(c, "verify-keys", d)
	defer func() { op.entry.Count = scan.Values; err = op.end(err) }()
	if err := s.mayOperate(c, d); err != nil {
		return scan, err
	}
	release, err := s.exclusive()
	if err != nil {
		return scan, err
	}
	defer release()
	v := &verifier{w: Sweeper{s: s, c: c, d: d, all: true}, ctx: ctx, old: old, progress: progress}
	if err := v.run(); err != nil {
		return v.scan, engineError(err)
	}
	return v.scan, v.verdict()
}

// verifier is a verifying scan under way.
type verifier struct {
	w        Sweeper // reads chunks, and writes none
	ctx      context.Context
	old      []envelope.KeyRef
	progress func(done, all uint64)
	all      uint64 // values, about
	scan     Scan
}

// maxNamed is how many values a scan names.
const maxNamed = 10

func (v *verifier) run() error {
	if err := v.expect(); err != nil {
		return err
	}
	if v.has(envelope.PurposeWrapping) || v.has(envelope.PurposeSystem) {
		if err := v.sealed(); err != nil {
			return err
		}
	}
	if v.has(envelope.PurposeIndex) {
		if err := v.each(kv.Tokens, v.tokens); err != nil {
			return err
		}
		if err := v.each(kv.Index, v.index); err != nil {
			return err
		}
	}
	if v.has(envelope.PurposeSystemMAC) {
		if err := v.chunks(kv.Idempotency, nil, nil, v.idempotency); err != nil {
			return err
		}
	}
	return v.count()
}

func (v *verifier) has(p envelope.Purpose) bool {
	return slices.ContainsFunc(v.old, func(r envelope.KeyRef) bool { return r.Purpose == p })
}

// expect finds out how many values there are, as the counters say.
func (v *verifier) expect() error {
	return v.w.s.engine.View(v.ctx, func(tx kv.ReadTx) error {
		v.all = 0
		ids := []uid.UID{uid.Zero}
		if !v.w.d.System() {
			ids = v.collections()
		}
		for _, c := range ids {
			for _, kind := range keyKinds(c) {
				for _, n := range keyCountsOf(tx, c, kind) {
					v.all += n
				}
			}
		}
		return nil
	})
}

func (v *verifier) collections() []uid.UID { return v.w.s.catalog.Load().collectionsOf(v.w.d.UID) }

func (v *verifier) seen(n int) {
	v.scan.Values += uint64(n)
	if v.progress != nil {
		v.progress(min(v.scan.Values, v.all), v.all)
	}
}

// sealed looks at what is sealed under keys: it opens all of it.
func (v *verifier) sealed() error {
	table := sweepsDEKs
	if v.w.d.System() {
		table = sweepsControl
	}
	for at := (position{table: table}); !at.done(); {
		c := v.w.prepare(v.ctx, at, viewItems*4, Budget{}.workers())
		if c.err != nil {
			return c.err
		}
		for i := range c.items {
			v.judge(c.table, &c.items[i])
		}
		v.seen(len(c.items))
		at = c.end
	}
	return nil
}

// judge looks at one sealed value.
func (v *verifier) judge(table byte, it *item) {
	text := it.old
	if table == sweepsControl {
		stored, _ := decodeControlValue(it.old)
		text = stored.sealed
	}
	id, err := envelope.KeyIDOf(text)
	switch {
	case err == nil && v.isOld(id):
		v.left(table, it.key)
	case it.why != nil:
		v.scan.Damaged++
		v.name(table, it.key)
	default:
		v.scan.Opened++
	}
}

func (v *verifier) isOld(id uint32) bool {
	return slices.ContainsFunc(v.old, func(r envelope.KeyRef) bool {
		return r.KeyID == id && (r.Purpose == envelope.PurposeWrapping || r.Purpose == envelope.PurposeSystem)
	})
}

func (v *verifier) isOldGeneration(p envelope.Purpose, n uint32) bool {
	return slices.ContainsFunc(v.old, func(r envelope.KeyRef) bool { return r.Purpose == p && r.Generation == n })
}

func (v *verifier) left(table byte, key []byte) {
	v.scan.Left++
	v.name(table, key)
}

func (v *verifier) name(table byte, key []byte) {
	if name := placeOf(v.w.s.catalog.Load(), table, key); len(v.scan.Named) < maxNamed && !slices.Contains(v.scan.Named, name) {
		v.scan.Named = append(v.scan.Named, name)
	}
}

// each goes through a table of every collection of the integration.
func (v *verifier) each(t kv.Table, look func(key, value []byte)) error {
	for _, c := range v.collections() {
		if err := v.chunks(t, c[:], after(c[:]), look); err != nil {
			return err
		}
	}
	return nil
}

// chunks goes through a range in short views.
func (v *verifier) chunks(t kv.Table, from, to []byte, look func(key, value []byte)) error {
	for more := true; more; {
		scan, start := v.scan, from
		scan.Named = slices.Clone(scan.Named)
		n, next := 0, from
		until := time.Now().Add(viewTime)
		err := v.w.s.engine.View(v.ctx, func(tx kv.ReadTx) error {
			v.scan, n, next, more = scan, 0, start, false
			tx.Scan(t, start, to, func(key, value []byte) bool {
				look(key, value)
				n++
				more = n == viewScanned || n%128 == 0 && !time.Now().Before(until)
				if more {
					next = append(bytes.Clone(key), 0)
				}
				return !more
			})
			return nil
		})
		if err != nil {
			return err
		}
		from = next
		v.seen(n)
	}
	return nil
}

// tokens looks at the generation of a record's token set. One that cannot be
// read may be of any.
func (v *verifier) tokens(key, value []byte) {
	set, err := decodeTokenSet(value)
	switch {
	case err != nil:
		v.scan.Damaged++
		v.name(sweepsTokens, key)
	case v.isOldGeneration(envelope.PurposeIndex, set.generation):
		v.left(sweepsTokens, key)
	default:
		v.scan.Opened++
	}
}

// index looks at the generation of an entry of the index.
func (v *verifier) index(key, _ []byte) {
	e, ok := parseIndexKey(key)
	switch {
	case !ok:
		v.scan.Damaged++
	case v.isOldGeneration(envelope.PurposeIndex, e.generation):
		v.scan.Left++
	default:
		v.scan.Opened++
	}
}

// idempotency looks at the generation that an idempotency key is remembered
// under. It goes by itself when its day is over.
func (v *verifier) idempotency(_, value []byte) {
	m, err := decodeRemembered(value)
	switch {
	case err != nil:
		v.scan.Damaged++
	case v.isOldGeneration(envelope.PurposeSystemMAC, m.generation):
		v.scan.Left++
	default:
		v.scan.Opened++
	}
}

// count adds what the counters say.
func (v *verifier) count() error {
	return v.w.s.engine.View(v.ctx, func(tx kv.ReadTx) error {
		v.scan.Counted = 0
		for _, ref := range v.old {
			v.scan.Counted += valuesUnder(tx, v.collections(), ref)
		}
		return nil
	})
}

// verdict says whether the old keys can go.
func (v *verifier) verdict() error {
	detail := v.w.s.catalog.Load().unseen(v.w.d)
	if v.scan.Left == 0 && v.scan.Damaged == 0 && v.scan.Counted == 0 && detail == "" {
		return nil
	}
	return &LeftBehind{Domain: v.w.d, Scan: v.scan, Detail: detail}
}

// unseen says what of an integration a scan cannot find: the values of
// collections whose definitions do not open.
func (c *catalog) unseen(d KeyDomain) string {
	var names []string
	for key := range c.damaged {
		kind, id, _ := strings.Cut(key, "\x00")
		if kind == kindCollection && !d.System() && strings.HasPrefix(id, d.UID.String()+"/") {
			names = append(names, strings.TrimPrefix(id, d.UID.String()+"/"))
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return fmt.Sprintf("the definitions of collections do not open, so that their values were not looked at: %s", strings.Join(names, ", "))
}
