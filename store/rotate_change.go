package store

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"strongroom/envelope"
	"strongroom/internal/access"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// keysAt is what is stored of a domain's keys.
type keysAt struct {
	keysets []envelope.WrappedKeyset
	raw     []byte // the value in the Generations table
	inForce generation
	history keysDoc
	version uint64 // of the history
}

// keyPlan is a change of a domain's keys while it is made ready. The caller of
// a plan holds controlMu.
type keyPlan struct {
	s           *Store
	d           KeyDomain
	in          *integration // nil: the system domain
	was         keysAt
	next        generation
	history     keysDoc
	puts        []envelope.WrappedKeyset
	drops       []envelope.WrappedKeyset
	empty       []envelope.KeyRef // keys that must have no values
	collections []uid.UID
	now         time.Time
}

// changeKeys carries out a change of a domain's keys, and then opens the domain
// anew: no value is made under the old state of a key from then on, and what is
// on its way is stale. It can be called again whatever became of an earlier
// call: what is done already is not done twice.
func (s *Store) changeKeys(ctx context.Context, c Caller, action string, d KeyDomain, rows []Row, plan func(ctx context.Context, p *keyPlan) error) (err error) {
	op := s.startKeys(c, action, d)
	defer func() { err = op.end(err) }()
	if err := authoriseKeys(c); err != nil {
		return err
	}
	writes, err := rowWrites(rows)
	if err != nil {
		return err
	}
	if err := s.changeKeysOnce(ctx, op, d, writes, plan); err != nil {
		return err
	}
	return keyError(s.domains.Restate(ctx, d.UID))
}

// startKeys makes the operation of an act on the keys of a domain.
func (s *Store) startKeys(c Caller, action string, d KeyDomain) *operation {
	name := d.Integration
	if d.System() {
		name = "system"
	}
	return s.start(c, access.Action(action), target{integration: d.Integration, control: kindKeys + "/" + name})
}

func (s *Store) changeKeysOnce(ctx context.Context, op *operation, d KeyDomain, rows []controlWrite, plan func(ctx context.Context, p *keyPlan) error) error {
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	p, err := s.planFor(ctx, d)
	if err != nil {
		return err
	}
	if err := plan(ctx, p); err != nil {
		return err
	}
	writes, err := s.unstored(ctx, rows)
	if err != nil {
		return err
	}
	if !p.changes() && len(writes) == 0 {
		return nil
	}
	if err := op.intent(); err != nil {
		return err
	}
	if err := s.noteKeys(ctx, op, p); err != nil {
		return err
	}
	return p.carryOut(ctx, op, writes)
}

// planFor reads a domain's keys. It opens the domain anew when that is not what
// is stored: an earlier call may have stored more than it learned of.
func (s *Store) planFor(ctx context.Context, d KeyDomain) (*keyPlan, error) {
	in, err := s.catalog.Load().domainOf(d)
	if err != nil {
		return nil, err
	}
	p := &keyPlan{s: s, d: d, in: in, now: s.now().UTC(), collections: s.catalog.Load().collectionsOf(d.UID)}
	if p.was, err = s.readKeys(ctx, d); err != nil {
		return nil, err
	}
	refs, err := s.openKeys(ctx, d)
	if err == nil && len(refs) != len(p.was.keysets) {
		if err = keyError(s.domains.Restate(ctx, d.UID)); err == nil {
			refs, err = s.openKeys(ctx, d)
		}
	}
	if err != nil {
		return nil, err
	}
	began, err := s.beganAt(ctx, in)
	if err != nil {
		return nil, err
	}
	p.next, p.history = p.was.inForce, p.was.history.clone()
	p.history.adopt(refs, began)
	return p, nil
}

// beganAt returns when a domain got its first keys.
func (s *Store) beganAt(ctx context.Context, in *integration) (at time.Time, err error) {
	if in != nil {
		return in.doc.CreatedAt, nil
	}
	err = s.viewSystem(ctx, func(tx kv.ReadTx, system *envelope.System, _ bool) error {
		doc, _, err := openControlValue[settingsDoc](system, kindSettings, "store", tx.Get(kv.Control, controlKey(kindSettings, "store")))
		at = doc.CreatedAt
		return openError(err)
	})
	return at, err
}

// readKeys reads what is stored of a domain's keys.
func (s *Store) readKeys(ctx context.Context, d KeyDomain) (k keysAt, err error) {
	err = s.viewSystem(ctx, func(tx kv.ReadTx, system *envelope.System, _ bool) error {
		k = keysAt{keysets: readKeysets(tx, d.UID), raw: bytes.Clone(tx.Get(kv.Generations, d.UID[:]))}
		k.inForce = generationOf(tx, d.UID, k.keysets)
		raw := tx.Get(kv.Control, controlKey(kindKeys, d.UID.String()))
		if raw == nil {
			return nil
		}
		k.history, k.version, err = openControlValue[keysDoc](system, kindKeys, d.UID.String(), raw)
		return openError(err)
	})
	if err == nil && k.inForce == (generation{}) {
		err = fmt.Errorf("%w: the states of the keys of %s", ErrIntegrity, d)
	}
	return k, err
}

// changes reports whether the plan has anything to do.
func (p *keyPlan) changes() bool {
	return p.next.states != p.was.inForce.states || len(p.puts) > 0 || len(p.drops) > 0
}

// state returns what a key of the plan may do, 0 when it is not there.
func (p *keyPlan) state(ref envelope.KeyRef) envelope.KeyState {
	return p.next.state(ref.Purpose, ref.Generation)
}

// set changes what a key may do.
func (p *keyPlan) set(ref envelope.KeyRef, to envelope.KeyState) {
	p.next = p.next.with(ref.Purpose, ref.Generation, to)
}

// carryOut writes the plan in one transaction and publishes it.
func (p *keyPlan) carryOut(ctx context.Context, op *operation, rows []controlWrite) error {
	if p.next.states != p.was.inForce.states {
		p.next.epoch++ // drafts of tokens and deletes that go on are made again too
	}
	writes := rows
	if p.changes() {
		writes = append(writes, controlWrite{kind: kindKeys, id: p.d.UID.String(), replaces: p.was.version, doc: p.history})
	}
	err := p.s.updateControl(ctx, op, writes, p.check, p.apply)
	if err != nil {
		return p.s.changeFailed(ctx, err)
	}
	p.publish()
	return nil
}

// check finds out, in the transaction, whether the plan was made from what is
// stored, and whether the keys that it ends have no values.
func (p *keyPlan) check(tx kv.ReadTx) error {
	if !bytes.Equal(tx.Get(kv.Generations, p.d.UID[:]), p.was.raw) {
		return errStale
	}
	for _, k := range p.was.keysets {
		if !bytes.Equal(tx.Get(kv.Keysets, keysetKey(p.d.UID, k)), k.Blob) {
			return errStale
		}
	}
	for _, ref := range p.empty {
		if n := valuesUnder(tx, p.collections, ref); n > 0 {
			return &Conflict{Detail: fmt.Sprintf("%s: %d values are under the %s key of generation %d", p.d, n, ref.Purpose, ref.Generation)}
		}
	}
	return nil
}

// apply writes the plan.
func (p *keyPlan) apply(tx kv.Tx) {
	putKeysets(tx, p.d.UID, p.puts)
	for _, k := range p.drops {
		tx.Delete(kv.Keysets, keysetKey(p.d.UID, k))
	}
	if p.next != p.was.inForce {
		putGeneration(tx, p.d.UID, p.next)
	}
}

// publish makes the catalog say what is stored.
func (p *keyPlan) publish() {
	if p.in == nil || p.next == p.was.inForce {
		return
	}
	next := p.s.catalog.Load().next()
	in := p.in.changed()
	in.generation = p.next
	next.replaceIntegration(in)
	p.s.catalog.Store(next)
}

// known refuses a key that the domain never had.
func (p *keyPlan) known(ref envelope.KeyRef) error {
	if p.history.find(ref) == nil {
		return fmt.Errorf("%s: the %s key of generation %d: %w", p.d, ref.Purpose, ref.Generation, ErrNotFound)
	}
	return nil
}

// conflict says what stands in the way of doing something to a key.
func (p *keyPlan) conflict(ref envelope.KeyRef, what string) error {
	return &Conflict{Detail: fmt.Sprintf("%s: the %s key of generation %d %s", p.d, ref.Purpose, ref.Generation, what)}
}
