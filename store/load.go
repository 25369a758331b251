package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"strongroom/envelope"
	"strongroom/internal/access"
	"strongroom/internal/audit"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// load opens the control plane and publishes its catalog. A value that does
// not open is noted as damaged, audited and counted; whatever needs it answers
// with ErrIntegrity, and everything else goes on.
func (s *Store) load(ctx context.Context) error {
	system, err := s.domains.System(ctx)
	if err != nil {
		return keyError(err)
	}
	l := loader{s: s, system: system, catalog: newCatalog(), byUID: map[uid.UID]*integration{}, clientsByUID: map[uid.UID]*client{}}
	if err := s.engine.View(ctx, l.read); err != nil {
		return engineError(err)
	}
	l.catalog.repolicy(s.dev)
	s.enforce(l.catalog)
	s.catalog.Store(l.catalog)
	return nil
}

type loader struct {
	s            *Store
	system       *envelope.System
	catalog      *catalog
	byUID        map[uid.UID]*integration
	clientsByUID map[uid.UID]*client
	governed     bool
}

func (l *loader) read(tx kv.ReadTx) error {
	if err := l.settings(tx); err != nil {
		return err
	}
	l.integrations(tx)
	l.collections(tx)
	l.roles(tx)
	l.clients(tx)
	l.issuers(tx)
	l.signing(tx)
	l.attest(tx)
	openControl(l.system, tx, kindEnded, func(id string, _ uint64, doc endedDoc) {
		_ = l.s.ended.add(id, doc, false) // errEnded: it is there already
	}, l.damaged(kindEnded))
	l.limits(tx)
	openControl(l.system, tx, kindPurge, func(id string, v uint64, doc purgeDoc) {
		if u, err := uid.Parse(id); err == nil {
			l.catalog.purges[u] = &purge{doc: doc, version: v}
		}
	}, l.damaged(kindPurge))
	l.governance(tx)
	l.clock(tx)
	return nil
}

// settings must open: without them it is not known what store this is.
func (l *loader) settings(tx kv.ReadTx) (err error) {
	found := false
	openControl(l.system, tx, kindSettings, func(_ string, _ uint64, doc settingsDoc) {
		found, l.governed = true, doc.Governed
		if l.s.catalog.Load() == nil { // it never changes, and others read it
			l.s.dev = doc.Dev
		}
	}, func(_ string, cause error) { err = keyError(cause) })
	if err == nil {
		err = checkHistory(tx, l.system, uid.Zero)
	}
	if err == nil && !found {
		err = fmt.Errorf("%w: the store's settings are missing", ErrIntegrity)
	}
	return err
}

func (l *loader) integrations(tx kv.ReadTx) {
	openControl(l.system, tx, kindIntegration, func(name string, v uint64, doc integrationDoc) {
		in := &integration{name: name, doc: doc, version: v, collections: map[string]*collection{}}
		g, err := decodeGeneration(tx.Get(kv.Generations, doc.UID[:]))
		if err != nil {
			l.damaged(kindIntegration)(name, err)
			return
		}
		if err := checkHistory(tx, l.system, doc.UID); err != nil {
			l.damaged(kindIntegration)(name, err)
			return
		}
		in.generation = g
		l.catalog.integrations[name] = in
		l.byUID[doc.UID] = in
	}, l.damaged(kindIntegration))
}

func (l *loader) collections(tx kv.ReadTx) {
	openControl(l.system, tx, kindCollection, func(id string, v uint64, doc collectionDoc) {
		in, name := l.parent(id)
		if in == nil {
			return
		}
		coll, err := newCollection(in, name, doc, v)
		if err != nil {
			l.damaged(kindCollection)(id, err)
			return
		}
		in.collections[name] = coll
	}, l.damaged(kindCollection))
}

// parent finds the integration of a collection's control id.
func (l *loader) parent(id string) (*integration, string) {
	text, name, _ := strings.Cut(id, "/")
	u, err := uid.Parse(text)
	if err != nil {
		return nil, ""
	}
	return l.byUID[u], name
}

func (l *loader) roles(tx kv.ReadTx) {
	openControl(l.system, tx, kindRole, func(name string, v uint64, doc roleDoc) {
		parsed, err := access.ParseRole(doc.Raw)
		if err != nil {
			l.damaged(kindRole)(name, err)
			return
		}
		l.catalog.roles[name] = &role{doc: doc, version: v, role: parsed}
	}, l.damaged(kindRole))
}

func (l *loader) clients(tx kv.ReadTx) {
	openControl(l.system, tx, kindClient, func(name string, v uint64, doc clientDoc) {
		proof, err := doc.ClientAuth.compile()
		if err != nil {
			l.damaged(kindClient)(name, err)
			return
		}
		c := &client{name: name, doc: doc, version: v, secrets: map[string]*clientSecret{}, proof: proof}
		l.catalog.clients[name] = c
		l.clientsByUID[doc.UID] = c
	}, l.damaged(kindClient))
	openControl(l.system, tx, kindSecret, func(id string, v uint64, doc secretDoc) {
		text, secretID, _ := strings.Cut(id, "/")
		u, _ := uid.Parse(text)
		if c := l.clientsByUID[u]; c != nil {
			c.secrets[secretID] = &clientSecret{doc: doc, version: v, use: &lastUse{}}
		}
	}, l.damaged(kindSecret))
	openControl(l.system, tx, kindUse, func(id string, v uint64, doc useDoc) {
		text, secretID, _ := strings.Cut(id, "/")
		u, _ := uid.Parse(text)
		if c := l.clientsByUID[u]; c != nil && c.secrets[secretID] != nil {
			use := c.secrets[secretID].use
			use.at.Store(doc.At.Unix())
			use.stored, use.version = doc.At.Unix(), v
		}
	}, l.damaged(kindUse))
}

func (l *loader) issuers(tx kv.ReadTx) {
	openControl(l.system, tx, kindIssuer, func(name string, v uint64, doc issuerDoc) {
		if len(doc.Clients) != len(doc.Spec.Rules) {
			l.damaged(kindIssuer)(name, errLayout)
			return
		}
		l.catalog.issuers[name] = &issuer{name: name, doc: doc, version: v}
	}, l.damaged(kindIssuer))
	l.catalog.vouch()
}

func (l *loader) signing(tx kv.ReadTx) {
	openControl(l.system, tx, kindSigningKey, func(id string, v uint64, doc signingKeyDoc) {
		key := SigningKey{ID: id, Seed: doc.Seed, CreatedAt: doc.CreatedAt, SignsFrom: doc.CreatedAt, version: v}
		if doc.SignsFrom != nil {
			key.SignsFrom = *doc.SignsFrom
		}
		l.catalog.signing = append(l.catalog.signing, key)
	}, l.damaged(kindSigningKey))
}

// clock sets the instant that changes may not go back behind.
func (l *loader) clock(tx kv.ReadTx) {
	for _, in := range l.catalog.integrations {
		for _, coll := range in.collections {
			prefix := coll.doc.UID[:]
			tx.ScanBack(kv.Changes, prefix, after(prefix), func(_, value []byte) bool {
				if ch, err := decodeChange(value); err == nil {
					l.s.lastChange.Store(max(l.s.lastChange.Load(), ch.at.UnixMicro()))
				}
				return false
			})
		}
	}
}

func (l *loader) damaged(kind string) func(id string, err error) {
	return func(id string, err error) {
		l.catalog.damaged[kind+"\x00"+id] = err
		l.s.stats.integrity.Add(1)
		l.s.logger.Error("a control-plane value failed its integrity check", "kind", kind, "id", id)
		l.s.auditDamage(kind, id)
	}
}

// auditDamage records a damaged control-plane value as an event of its own.
func (s *Store) auditDamage(kind, id string) {
	e := audit.Entry{Phase: audit.Event, Time: s.now(), Event: "integrity_failure", Outcome: audit.Failed, Code: Code(ErrIntegrity), Target: kind + "/" + id}
	if err := s.audit.Write(&e); err != nil {
		s.logger.Error("the audit log cannot be written", "error", err)
	}
}

// engineError turns the engine's errors into the store's.
func engineError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kv.ErrNotPersisted), errors.Is(err, kv.ErrClosed):
		return fmt.Errorf("%w: %w", ErrNotPersisted, err)
	case errors.Is(err, kv.ErrOutcomeUnknown):
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
	return err
}
