package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"filippo.io/age"

	"strongroom/envelope"
	"strongroom/internal/access"
	"strongroom/store/kv"
)

// CheckReport is what a drill found: whether a backup could be restored today,
// and what would be lost by it.
type CheckReport struct {
	Backup       BackupInfo         `json:"backup"`
	AgeSeconds   int64              `json:"age_seconds"`
	Integrations []IntegrationCheck `json:"integrations"`
	Lost         *LostReport        `json:"lost,omitempty"` // nil: there was nothing to compare with
}

// OK reports whether everything opened that was tried.
func (r *CheckReport) OK() bool {
	for _, in := range r.Integrations {
		if in.Problem != "" {
			return false
		}
	}
	return true
}

// IntegrationCheck is what became of one integration.
type IntegrationCheck struct {
	Integration string `json:"integration"`
	Records     uint64 `json:"records"`
	Opened      uint64 `json:"opened"` // records of which every field was opened, one a collection
	Fields      uint64 `json:"fields"`
	Problem     string `json:"problem,omitempty"`
}

// LostReport is how a live store differs from a backup.
type LostReport struct {
	Changed     uint64 `json:"changed"`     // records made or changed since
	Erased      uint64 `json:"erased"`      // records erased since: they would be back
	Definitions uint64 `json:"definitions"` // control-plane values made, changed or deleted since
	Behind      bool   `json:"behind"`      // the backup reaches further than the live store
}

// CheckBackup is a drill: it restores a backup into the empty engine of d,
// which is to be thrown away, opens the store, and one record of each
// collection with every field, which proves that the keys of each integration
// are there. live, which may be nil, is the store that the backup would
// replace. An integration that does not open is told in the report; a backup
// that cannot be restored is an error. What it opens is audited.
func CheckBackup(ctx context.Context, d Deps, r io.Reader, identities []age.Identity, live *Store) (CheckReport, error) {
	info, err := Restore(ctx, d, r, identities, RestoreOptions{})
	if err != nil {
		return CheckReport{}, err
	}
	s, err := Open(ctx, d)
	if err != nil {
		return CheckReport{}, err
	}
	defer s.Close()
	report := CheckReport{Backup: info, AgeSeconds: int64(s.now().Sub(info.CreatedAt) / time.Second)}
	cat := s.catalog.Load()
	for _, name := range sortedNames(cat.integrations) {
		check, err := s.drill(ctx, cat.integrations[name])
		if err != nil {
			return CheckReport{}, err
		}
		report.Integrations = append(report.Integrations, check)
	}
	if live != nil {
		report.Lost, err = s.lost(ctx, live, info.Sequence)
	}
	return report, err
}

// drill opens one record of each collection of an integration. Its error is of
// the disk or the context; what does not open is the check's problem.
func (s *Store) drill(ctx context.Context, in *integration) (IntegrationCheck, error) {
	check := IntegrationCheck{Integration: in.name}
	op := s.startInternal(access.ActionRead, kindIntegration+"/"+in.name)
	op.entry.Detail = "restore check"
	var failed error
	for _, name := range sortedNames(in.collections) {
		if err := s.drillCollection(ctx, in.collections[name], &check); err != nil && failed == nil {
			failed = fmt.Errorf("collection %s: %w", name, err)
		}
	}
	op.entry.Count = check.Opened
	if failed = op.end(failed); failed != nil {
		check.Problem = failed.Error()
	}
	if at := in.doc.DestroyAt; at != nil && failed != nil {
		check.Problem = "it is deleted, and its keys are or will be destroyed: " + check.Problem
	}
	return check, ctx.Err()
}

func (s *Store) drillCollection(ctx context.Context, coll *collection, check *IntegrationCheck) error {
	fields := 0
	opened := false
	err := s.view(ctx, coll.integration, func(tx kv.ReadTx, dom *envelope.Domain) error {
		fields, opened = 0, false
		id := firstLive(tx, coll)
		if id == "" {
			return nil
		}
		f, err := s.findCurrent(tx, coll, dom, id)
		if err != nil {
			return fmt.Errorf("record %s: %w", id, err)
		}
		values, err := openAll(&f.revision, f.opener)
		if err != nil {
			return fmt.Errorf("record %s: %w", id, err)
		}
		fields, opened = len(values), true
		return nil
	})
	again := s.engine.View(ctx, func(tx kv.ReadTx) error {
		check.Records += counter(tx, coll.doc.UID, counterRecords)
		return nil
	})
	if check.Fields += uint64(fields); opened {
		check.Opened++
	}
	return errors.Join(err, again)
}

// firstLive returns the id of a record that is there; "" when none is among the
// first ones.
func firstLive(tx kv.ReadTx, coll *collection) (id string) {
	prefix := coll.doc.UID[:]
	looked := 0
	tx.Scan(kv.Records, prefix, after(prefix), func(key, value []byte) bool {
		if st, err := decodeState(value); err != nil || st.life == live {
			id = string(key[len(prefix):])
		}
		looked++
		return id == "" && looked < 1000
	})
	return id
}

// lost compares the restored store with the live one.
func (s *Store) lost(ctx context.Context, now *Store, sequence uint64) (*LostReport, error) {
	if now.id != s.id {
		return nil, fmt.Errorf("%w: the backup is not of this store but of store %s", ErrConflict, s.id)
	}
	lost := &LostReport{}
	err := now.scan(ctx, kv.Changes, nil, nil, noWork, func(_ kv.ReadTx, key, _ []byte) {
		if n := len(key) - 8; n > 0 && binary.BigEndian.Uint64(key[n:]) > sequence {
			lost.Changed++
		}
	})
	if err == nil {
		err = now.engine.View(ctx, func(tx kv.ReadTx) error { lost.Behind = lastSequence(tx) < sequence; return nil })
	}
	if err == nil {
		lost.Erased, err = s.missingFrom(ctx, now)
	}
	if err == nil {
		lost.Definitions, err = s.redefined(ctx, now)
	}
	return lost, engineError(err)
}

// missingFrom counts the records that another store has no more.
func (s *Store) missingFrom(ctx context.Context, now *Store) (missing uint64, err error) {
	var keys [][]byte
	var failed error
	ask := func() {
		again := now.engine.View(ctx, func(tx kv.ReadTx) error {
			for _, key := range keys {
				if tx.Get(kv.Records, key) == nil {
					missing++
				}
			}
			return nil
		})
		keys, failed = nil, errors.Join(failed, again)
	}
	err = s.scan(ctx, kv.Records, nil, nil, ask, func(_ kv.ReadTx, key, _ []byte) { keys = append(keys, bytes.Clone(key)) })
	return missing, errors.Join(err, failed)
}

// redefined counts the control values that differ.
func (s *Store) redefined(ctx context.Context, now *Store) (uint64, error) {
	versions := map[string]uint64{}
	err := s.scan(ctx, kv.Control, nil, nil, noWork, func(_ kv.ReadTx, key, value []byte) { versions[string(key)] = version(value) })
	if err != nil {
		return 0, err
	}
	differ := uint64(0)
	err = now.scan(ctx, kv.Control, nil, nil, noWork, func(_ kv.ReadTx, key, value []byte) {
		if versions[string(key)] != version(value) {
			differ++
		}
		delete(versions, string(key))
	})
	return differ + uint64(len(versions)), err
}

func noWork() {}
