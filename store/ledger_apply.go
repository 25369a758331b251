package store

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"strongroom/internal/access"
	"strongroom/internal/ledger"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// Reapplied counts what the ledger told at the start and this store had to do
// again: it was made of a backup, or a copy of its file was put back.
type Reapplied struct {
	Records      uint64 `json:"records"`      // erased again
	Collections  uint64 `json:"collections"`  // deleted again
	Integrations uint64 `json:"integrations"` // whose keys are destroyed; removed again
	Secrets      uint64 `json:"secrets"`      // revoked again
	Clients      uint64 `json:"clients"`      // disabled or deleted again
	Tokens       uint64 `json:"tokens"`       // revoked again, of those that have not expired
}

// String tells it in words.
func (r Reapplied) String() string {
	var parts []string
	for _, p := range []struct {
		n    uint64
		what string
	}{{r.Records, "records"}, {r.Collections, "collections"}, {r.Integrations, "integrations"}, {r.Secrets, "secrets"}, {r.Clients, "clients"}, {r.Tokens, "tokens"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

// Reapplied returns what Open did again, as the ledger told.
func (s *Store) Reapplied() Reapplied { return s.reapplied }

// reapply does what the ledger tells after an entry. What is done already is
// left alone: an erasure names the revision that it reached, and all else goes
// by uids, which are never given again.
func (s *Store) reapply(ctx context.Context, after uint64) error {
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	err := s.ledger.Each(func(e *ledger.Entry, _ ledger.Hash) error {
		if e.Number <= after {
			return nil
		}
		return s.again(ctx, e)
	})
	if err == nil && s.reapplied != (Reapplied{}) {
		s.tellLedger("ledger_reapplied", "this store was behind its ledger; erased or revoked again: "+s.reapplied.String())
	}
	return err
}

// again does what one entry tells.
func (s *Store) again(ctx context.Context, e *ledger.Entry) error {
	switch e.Kind {
	case ledger.Erased:
		return s.eraseAgain(ctx, e)
	case ledger.CollectionDeleted:
		return s.deleteCollectionAgain(ctx, e)
	case ledger.Destroyed:
		return s.destroyAgain(ctx, e)
	case ledger.SecretRevoked:
		return s.revokeSecretAgain(ctx, e)
	case ledger.ClientRevoked:
		return s.revokeClientAgain(ctx, e)
	case ledger.TokenRevoked:
		return s.revokeTokenAgain(ctx, e)
	}
	return nil // the others are only told
}

// startAgain makes the operation of what is done again. It has an id of its
// own and tells the ledger nothing.
func (s *Store) startAgain(action access.Action, target string) *operation {
	op := s.startInternal(action, target)
	op.entry.Detail = "again, as the ledger tells"
	return op
}

// eraseAgain erases records up to the revision that was erased. A record that
// was made anew under the id begins above it.
func (s *Store) eraseAgain(ctx context.Context, e *ledger.Entry) error {
	there, err := s.standAgain(ctx, e)
	if err != nil || len(there) == 0 {
		return err
	}
	op := s.startAgain(access.ActionErase, "ledger")
	if coll := s.catalog.Load().collectionByUID(e.Collection); coll != nil {
		op.entry.Integration, op.entry.Collection = coll.integration.name, coll.name
	}
	for _, r := range there {
		op.entry.Records = append(op.entry.Records, r.ID)
	}
	op.entry.Count = uint64(len(there))
	if err := op.intent(); err != nil {
		return err
	}
	done := uint64(0)
	err = s.engine.Update(ctx, kv.Bulk, 256*len(there), func(tx kv.Tx) error {
		var t tally
		done = 0
		for _, r := range there {
			if erasable(tx, e.Collection, r) && expunge(tx, e.Collection, r.ID, &t) == nil {
				done++
			}
			raiseFloor(tx, e.Collection, r.Revision)
		}
		t.add(tx, e.Collection)
		op.put(tx, e.Collection.String())
		return nil
	})
	if err == nil {
		s.reapplied.Records += done
	}
	return op.end(engineError(err))
}

// standAgain returns the records of an entry that are there again.
func (s *Store) standAgain(ctx context.Context, e *ledger.Entry) (there []ledger.Record, err error) {
	err = s.engine.View(ctx, func(tx kv.ReadTx) error {
		there = nil
		for _, r := range e.Records {
			if erasable(tx, e.Collection, r) {
				there = append(there, r)
			}
		}
		return nil
	})
	return there, engineError(err)
}

// erasable reports whether a record is there with no revision above the erased
// one.
func erasable(tx kv.ReadTx, c uid.UID, r ledger.Record) bool {
	st, err := decodeState(tx.Get(kv.Records, recordKey(c, r.ID)))
	return err == nil && st.revision <= r.Revision
}

func (s *Store) deleteCollectionAgain(ctx context.Context, e *ledger.Entry) error {
	coll := s.catalog.Load().collectionByUID(e.Collection)
	if coll == nil {
		return nil
	}
	op := s.startAgain("delete", kindCollection+"/"+coll.integration.name+"/"+coll.name)
	s.reapplied.Collections++
	return s.changeAgain(ctx, op, s.collectionRemoval(coll.integration, coll))
}

// changeAgain carries a change out that the ledger has already.
func (s *Store) changeAgain(ctx context.Context, op *operation, ch controlChange) error {
	ch.notes = nil
	return op.end(s.change(ctx, op, ch))
}

func (s *Store) destroyAgain(ctx context.Context, e *ledger.Entry) error {
	for _, in := range s.catalog.Load().integrations {
		if in.doc.UID == e.Integration {
			s.domains.Drop(in.doc.UID)
			s.reapplied.Integrations++
			return s.changeAgain(ctx, s.startAgain("destroy", kindIntegration+"/"+in.name), s.removalOf(in))
		}
	}
	return nil
}

// clientByUID returns a client, nil when there is none.
func (c *catalog) clientByUID(id uid.UID) *client {
	for _, cl := range c.clients {
		if cl.doc.UID == id {
			return cl
		}
	}
	return nil
}

func (s *Store) revokeSecretAgain(ctx context.Context, e *ledger.Entry) error {
	cl := s.catalog.Load().clientByUID(e.Client)
	if cl == nil || cl.secrets[e.Secret] == nil {
		return nil
	}
	writes := []controlWrite{{kind: kindSecret, id: secretControlID(cl, e.Secret), replaces: cl.secrets[e.Secret].version}}
	s.reapplied.Secrets++
	return s.changeAgain(ctx, s.startAgain("delete-secret", kindClient+"/"+cl.name), controlChange{
		writes:  writes,
		also:    func(tx kv.Tx) { forgetUses(tx, writes) },
		publish: func(cat *catalog) { s.enrol(cat, cl.withSecret(e.Secret, nil)) },
	})
}

// revokeClientAgain disables a client, or deletes it. One that was enabled
// again since stays disabled: whoever enabled it can do so again.
func (s *Store) revokeClientAgain(ctx context.Context, e *ledger.Entry) error {
	cl := s.catalog.Load().clientByUID(e.Client)
	switch {
	case cl == nil:
		return nil
	case e.Reason == noteDeleted:
		s.reapplied.Clients++
		return s.changeAgain(ctx, s.startAgain("delete", kindClient+"/"+cl.name), clientRemoval(cl))
	case cl.version >= e.Version || cl.doc.Disabled:
		return nil
	}
	next := *cl
	next.secrets = maps.Clone(cl.secrets)
	next.doc.Disabled, next.doc.UpdatedAt = true, s.now().UTC()
	next.version++
	s.reapplied.Clients++
	return s.changeAgain(ctx, s.startAgain("put", kindClient+"/"+cl.name), controlChange{
		writes:  []controlWrite{{kind: kindClient, id: cl.name, replaces: cl.version, doc: next.doc}},
		publish: func(cat *catalog) { s.enrol(cat, &next) },
	})
}

func (s *Store) revokeTokenAgain(ctx context.Context, e *ledger.Entry) error {
	if e.Expires == nil || !s.now().Before(e.Expires.Add(endedGrace)) || s.ended.has(e.Token) {
		return nil
	}
	op := s.startAgain("revoke", kindClient)
	op.entry.Detail += ": token " + e.Token
	if err := op.intent(); err != nil {
		return err
	}
	s.reapplied.Tokens++
	return op.end(s.endToken(ctx, op, e.Token, e.Client, *e.Expires))
}
