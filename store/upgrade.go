package store

import (
	"context"
	"fmt"

	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// upgrade brings a store of format 1 to the present one: what lies under each
// key is counted, and what each key may do is written down. It needs no key. The
// format is raised last, in one transaction with everything that is not counts
// of a collection, so that a program that was killed meanwhile starts again; an
// older program refuses the store from then on.
func (s *Store) upgrade(ctx context.Context) error {
	var format uint16
	var collections []uid.UID
	err := s.engine.View(ctx, func(tx kv.ReadTx) error {
		if format = formatOf(tx); format < storeFormat {
			collections = collectionsIn(tx, kv.DEKs, kv.Tokens)
		}
		return nil
	})
	if err != nil || format >= storeFormat {
		return engineError(err)
	}
	for _, c := range collections {
		if err := s.recount(ctx, c); err != nil {
			return err
		}
	}
	err = s.engine.Update(ctx, kv.Interactive, 4096, upgradeTables)
	if err != nil {
		return fmt.Errorf("the store could not be brought to format %d: %w", storeFormat, engineError(err))
	}
	s.logger.Info("the store was brought to a newer format", "from", format, "to", storeFormat)
	return nil
}

func upgradeTables(tx kv.Tx) error {
	recountKeys(tx, uid.Zero)
	domains := []uid.UID{uid.Zero}
	tx.Scan(kv.Generations, nil, nil, func(key, _ []byte) bool {
		var id uid.UID
		if copy(id[:], key) == len(key) {
			domains = append(domains, id)
		}
		return true
	})
	for _, id := range domains {
		if g := generationOf(tx, id, readKeysets(tx, id)); g != (generation{}) { // a damaged one is left for fsck
			putGeneration(tx, id, g)
		}
	}
	putFormat(tx)
	return nil
}

// collectionsIn returns the collections that have anything in the tables, those
// that are being removed too.
func collectionsIn(tx kv.ReadTx, tables ...kv.Table) (all []uid.UID) {
	seen := map[uid.UID]bool{}
	for _, t := range tables {
		for from, more := []byte(nil), true; more; {
			more = false
			tx.Scan(t, from, nil, func(key, _ []byte) bool {
				var c uid.UID
				if copy(c[:], key) == len(c) && !seen[c] {
					seen[c], all = true, append(all, c)
				}
				from = after(c[:])
				more = from != nil
				return false
			})
		}
	}
	return all
}

// recount counts anew what lies under the keys of a collection.
func (s *Store) recount(ctx context.Context, c uid.UID) error {
	return engineError(s.engine.Update(ctx, kv.Bulk, 4096, func(tx kv.Tx) error {
		recountKeys(tx, c)
		return nil
	}))
}

// sweepRecounts counts anew where something was erased that had been damaged, so
// that it is not known under which key it was counted. Writes wait meanwhile:
// about a second for two million revisions.
func (s *Store) sweepRecounts(ctx context.Context) error {
	all, err := s.toRecount(ctx)
	for _, c := range all {
		if err == nil {
			err = s.recount(ctx, c)
		}
	}
	return err
}

func (s *Store) toRecount(ctx context.Context) (all []uid.UID, err error) {
	cat := s.catalog.Load()
	ids := []uid.UID{uid.Zero}
	for _, in := range cat.integrations {
		for _, coll := range in.collections {
			ids = append(ids, coll.doc.UID)
		}
	}
	for id := range cat.purges {
		ids = append(ids, id)
	}
	err = s.engine.View(ctx, func(tx kv.ReadTx) error {
		all = nil
		for _, c := range ids {
			if counter(tx, c, counterRecount) != 0 {
				all = append(all, c)
			}
		}
		return nil
	})
	return all, engineError(err)
}
