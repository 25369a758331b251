package store

import (
	"context"
	"sync/atomic"
	"time"

	"strongroom/store/kv"
)

// useEvery is how exactly the time of a secret's last use is kept.
const useEvery = time.Minute

// useDoc is when a secret was last used. It is a value of its own: writing it
// changes nothing that the control plane was compiled from.
type useDoc struct {
	At time.Time `json:"at"`
}

// lastUse is when a secret was last used. A use is noted in memory, and written
// by the background sweep: nobody who authenticates waits for it.
type lastUse struct {
	at      atomic.Int64 // unix seconds; 0: never
	stored  int64        // what the disk says; the sweep's own
	version uint64
}

// note tells of a use, at most once a minute.
func (u *lastUse) note(now time.Time) {
	if at := now.Unix(); at-u.at.Load() >= int64(useEvery/time.Second) {
		u.at.Store(at)
	}
}

func (u *lastUse) time() *time.Time {
	at := u.at.Load()
	if at == 0 {
		return nil
	}
	t := time.Unix(at, 0).UTC()
	return &t
}

// sweepUses writes the uses that were noted since the last pass.
func (s *Store) sweepUses(ctx context.Context) error {
	s.usesMu.Lock()
	defer s.usesMu.Unlock()
	var writes []controlWrite
	var uses []*lastUse
	for _, cl := range s.catalog.Load().clients {
		for id, sec := range cl.secrets {
			if at := sec.use.at.Load(); at > sec.use.stored && len(writes) < sweepBatch {
				writes = append(writes, controlWrite{
					kind: kindUse, id: secretControlID(cl, id), replaces: sec.use.version, doc: useDoc{At: time.Unix(at, 0).UTC()},
				})
				uses = append(uses, sec.use)
			}
		}
	}
	if len(writes) == 0 {
		return nil
	}
	if err := s.sealControl(ctx, writes); err != nil {
		return err
	}
	err := s.updateSealed(ctx, kv.Bulk, writes, nil, func(tx kv.Tx) error {
		var live []controlWrite
		for _, w := range writes {
			if tx.Get(kv.Control, controlKey(kindSecret, w.id)) != nil { // it may have been deleted meanwhile
				live = append(live, w)
			}
		}
		if systemGeneration(tx).wrapping != writes[0].sealedBy {
			return errStaleSystem
		}
		putControl(tx, live)
		return nil
	})
	if err != nil {
		return engineError(err)
	}
	for i, u := range uses {
		u.stored, u.version = writes[i].doc.(useDoc).At.Unix(), writes[i].replaces+1
	}
	return nil
}
