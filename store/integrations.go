package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"strongroom/envelope"
	"strongroom/internal/access"
	"strongroom/internal/ledger"
	"strongroom/internal/uid"
	"strongroom/store/kv"
	"strongroom/vaultkeys"
)

// destroyAfter is how long the keys of a deleted integration are kept.
const destroyAfter = 7 * 24 * time.Hour

// PutIntegration makes an integration with a key of its own, or changes the
// description of one.
func (s *Store) PutIntegration(ctx context.Context, c Caller, name string, spec IntegrationSpec, p Precondition) (out Integration, res PutResult, err error) {
	op := s.start(c, "put", target{integration: name, control: kindIntegration + "/" + name})
	defer func() { err = op.end(err) }()
	if err := authoriseControl(c, access.ManageIntegrations); err != nil {
		return out, res, err
	}
	if err := errors.Join(checkName("integration", name), checkText("/description", spec.Description)); err != nil {
		return out, res, firstInvalid(err)
	}
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	cat := s.catalog.Load()
	if cat.damage(kindIntegration, name) != nil {
		return out, res, fmt.Errorf("%w: the definition of integration %s", ErrIntegrity, name)
	}
	in := cat.integrations[name]
	if err := p.check(versionOf(in)); err != nil {
		return out, res, err
	}
	if in == nil {
		in, err = s.createIntegration(ctx, op, name, spec)
		res.Created = true
	} else {
		in, err = s.updateIntegration(ctx, op, in, spec)
	}
	if err != nil {
		return out, PutResult{}, err
	}
	return in.describe(), res, nil
}

func versionOf(in *integration) uint64 {
	if in == nil {
		return 0
	}
	return in.version
}

func (in *integration) describe() Integration {
	return Integration{
		Name: in.name, UID: in.doc.UID, Description: in.doc.Description, Version: in.version,
		CreatedAt: in.doc.CreatedAt, UpdatedAt: in.doc.UpdatedAt, DestroyAt: in.doc.DestroyAt,
	}
}

// createIntegration makes the key first. When what follows fails, the key is
// taken back as far as the key service lets it; nothing was sealed under it.
func (s *Store) createIntegration(ctx context.Context, op *operation, name string, spec IntegrationSpec) (*integration, error) {
	if have := len(s.catalog.Load().integrations); have >= s.limits.Integrations {
		return nil, fmt.Errorf("%w: this store holds its limit of %d integrations", ErrConflict, have)
	}
	id := uid.New()
	key := vaultkeys.IntegrationKey(s.id, id)
	if err := s.keys.Create(ctx, key); err != nil {
		return nil, keyError(err)
	}
	in, err := s.writeIntegration(ctx, op, name, id, spec)
	if err != nil && !errors.Is(err, ErrOutcomeUnknown) {
		if again := s.keys.Destroy(context.WithoutCancel(ctx), key); again != nil {
			s.logger.Warn("a key that was made for an integration that was not is left over", "key", key, "error", again)
		}
	}
	return in, err
}

func (s *Store) writeIntegration(ctx context.Context, op *operation, name string, id uid.UID, spec IntegrationSpec) (*integration, error) {
	keysets, err := envelope.NewKeysets(ctx, s.keys, s.id, id)
	if err != nil {
		return nil, keyError(err)
	}
	now := s.now().UTC()
	in := &integration{
		name: name, version: 1, generation: generation{epoch: 1}.explicit(keysets),
		collections: map[string]*collection{},
		doc:         integrationDoc{UID: id, Description: spec.Description, CreatedAt: now, UpdatedAt: now},
	}
	return in, s.change(ctx, op, controlChange{
		writes: []controlWrite{{kind: kindIntegration, id: name, doc: in.doc}},
		also: func(tx kv.Tx) {
			putKeysets(tx, id, keysets)
			putGeneration(tx, id, in.generation)
		},
		publish: func(next *catalog) { next.integrations[name] = in },
	})
}

func (s *Store) updateIntegration(ctx context.Context, op *operation, in *integration, spec IntegrationSpec) (*integration, error) {
	if in.doc.DestroyAt != nil {
		return nil, ErrDisabled
	}
	return s.changeIntegration(ctx, op, in, func(doc *integrationDoc) { doc.Description = spec.Description })
}

// changeIntegration writes a changed document, and the epoch that makes every
// write under way look again.
func (s *Store) changeIntegration(ctx context.Context, op *operation, in *integration, edit func(*integrationDoc)) (*integration, error) {
	next := in.changed()
	edit(&next.doc)
	next.doc.UpdatedAt = s.now().UTC()
	next.generation.epoch++
	next.version++
	return next, s.change(ctx, op, controlChange{
		writes:  []controlWrite{{kind: kindIntegration, id: in.name, replaces: in.version, doc: next.doc}},
		also:    func(tx kv.Tx) { putGeneration(tx, in.doc.UID, next.generation) },
		publish: func(cat *catalog) { cat.replaceIntegration(next) },
	})
}

// GetIntegration describes an integration to whoever has anything to do there.
func (s *Store) GetIntegration(ctx context.Context, c Caller, name string) (out Integration, err error) {
	op := s.start(c, "describe", target{integration: name, control: kindIntegration + "/" + name})
	defer func() { err = op.end(err) }()
	if !mayDescribe(c, name) {
		return out, ErrForbidden
	}
	cat := s.catalog.Load()
	if cat.damage(kindIntegration, name) != nil {
		return out, fmt.Errorf("%w: the definition of integration %s", ErrIntegrity, name)
	}
	in := cat.integrations[name]
	if in == nil {
		return out, ErrNotFound
	}
	return in.describe(), nil
}

// ListIntegrations describes the integrations that the caller has anything to
// do with, by name.
func (s *Store) ListIntegrations(ctx context.Context, c Caller) (out []Integration, err error) {
	op := s.start(c, "describe", target{control: kindIntegration})
	defer func() { err = op.end(err) }()
	cat := s.catalog.Load()
	for _, name := range sortedNames(cat.integrations) {
		if mayDescribe(c, name) {
			out = append(out, cat.integrations[name].describe())
		}
	}
	op.entry.Count = uint64(len(out))
	return out, nil
}

// DeleteIntegration disables an integration at once. Its keys are destroyed,
// and its records with them, after seven days, or now.
func (s *Store) DeleteIntegration(ctx context.Context, c Caller, name string, now bool) (out Integration, err error) {
	op := s.start(c, "delete", target{integration: name, control: kindIntegration + "/" + name})
	defer func() { err = op.end(err) }()
	if err := authoriseControl(c, access.ManageIntegrations); err != nil {
		return out, err
	}
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	in := s.catalog.Load().integrations[name]
	if in == nil {
		return out, ErrNotFound
	}
	if in.doc.DestroyAt == nil || now {
		at := s.now().UTC()
		if !now {
			at = at.Add(destroyAfter)
		}
		if in, err = s.changeIntegration(ctx, op, in, func(doc *integrationDoc) { doc.DestroyAt = &at }); err != nil {
			return out, err
		}
		s.domains.Drop(in.doc.UID)
	}
	if now {
		err = s.destroyIntegration(ctx, in)
	}
	return in.describe(), err
}

// UndeleteIntegration brings a deleted integration back while its keys exist.
func (s *Store) UndeleteIntegration(ctx context.Context, c Caller, name string) (out Integration, err error) {
	op := s.start(c, "undelete", target{integration: name, control: kindIntegration + "/" + name})
	defer func() { err = op.end(err) }()
	if err := authoriseControl(c, access.ManageIntegrations); err != nil {
		return out, err
	}
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	in := s.catalog.Load().integrations[name]
	switch {
	case in == nil:
		return out, ErrNotFound
	case in.doc.DestroyAt == nil:
		return out, fmt.Errorf("%w: the integration is not deleted", ErrConflict)
	case !s.now().Before(*in.doc.DestroyAt):
		return out, fmt.Errorf("%w: the integration's keys are being destroyed", ErrConflict) // or are already
	}
	in, err = s.changeIntegration(ctx, op, in, func(doc *integrationDoc) { doc.DestroyAt = nil })
	if err != nil {
		return out, err
	}
	return in.describe(), nil
}

// destroyIntegration ends an integration for good: the key at the key service
// first, so that whatever is left on the disk, or in a copy of it, is dead,
// then the definitions; the records are swept away afterwards. It can be run
// again after a failure. The caller holds controlMu.
func (s *Store) destroyIntegration(ctx context.Context, in *integration) error {
	err := s.keys.Destroy(ctx, vaultkeys.IntegrationKey(s.id, in.doc.UID))
	if err != nil && !errors.Is(err, vaultkeys.ErrKeyNotFound) {
		return keyError(err)
	}
	s.domains.Drop(in.doc.UID)
	op := s.startInternal("destroy", kindIntegration+"/"+in.name)
	return op.end(s.change(ctx, op, s.removalOf(in)))
}

func (s *Store) removalOf(in *integration) controlChange {
	writes := []controlWrite{{kind: kindIntegration, id: in.name, replaces: in.version}}
	purges := map[uid.UID]*purge{}
	for name, coll := range in.collections {
		doc := purgeDoc{Collection: in.name + "/" + name, Integration: in.doc.UID, CreatedAt: s.now().UTC()}
		purges[coll.doc.UID] = &purge{doc: doc, version: 1}
		writes = append(writes,
			controlWrite{kind: kindCollection, id: collectionID(in, name), replaces: coll.version},
			controlWrite{kind: kindPurge, id: coll.doc.UID.String(), doc: doc})
	}
	return controlChange{
		writes: writes,
		notes:  []ledger.Note{{Kind: ledger.Destroyed, Integration: in.doc.UID, Name: in.name}},
		also: func(tx kv.Tx) {
			for _, k := range readKeysets(tx, in.doc.UID) {
				tx.Delete(kv.Keysets, keysetKey(in.doc.UID, k))
			}
			tx.Delete(kv.Generations, in.doc.UID[:])
			dropControl(tx, controlKey(kindKeys, in.doc.UID.String()))
		},
		publish: func(next *catalog) {
			delete(next.integrations, in.name)
			for id, p := range purges {
				next.purges[id] = p
			}
			s.wake()
		},
	}
}

// startInternal makes the operation of something that the store does by
// itself.
func (s *Store) startInternal(action access.Action, control string) *operation {
	return s.start(&access.Principal{Client: "strongroom"}, action, target{control: control})
}

// wake lets Run sweep soon.
func (s *Store) wake() {
	select {
	case s.background <- struct{}{}:
	default:
	}
}
