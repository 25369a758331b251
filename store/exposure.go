package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"strongroom/internal/access"
	"strongroom/internal/limits"
)

// Exposure bounds how many distinct records and fields are opened for a client.
// The store asks it before it opens any. Its methods are safe for concurrent use.
type Exposure interface {
	// Bounded reports whether anything bounds what is opened for a client.
	Bounded(client string, roles []string) bool
	// Claim charges a record that is about to be opened, and says how it may be
	// shown. To claim again what was claimed a moment ago is free.
	Claim(x *limits.Exposed) limits.Verdict
}

// spending is what one call spends of its client's budgets. A nil one is not
// bounded.
type spending struct {
	exposure Exposure
	caller   Caller
	wait     time.Duration
}

func (s *Store) spendingOf(c Caller) *spending {
	if s.counting == nil || !s.counting.Bounded(c.Client, c.Roles) {
		return nil
	}
	return &spending{exposure: s.counting, caller: c}
}

// claim charges the fields of a record that the viewer is about to open.
func (sp *spending) claim(v *viewer, paths []string) (masked bool, err error) {
	if sp == nil {
		return false, nil
	}
	fields := make([]string, 0, len(paths))
	for _, path := range paths {
		if (v.wanted == nil || selected(v.wanted, path)) && v.may(path).Kind != access.None {
			fields = append(fields, path)
		}
	}
	if len(fields) == 0 {
		return false, nil
	}
	verdict := sp.exposure.Claim(&limits.Exposed{
		Client: sp.caller.Client, ClientUID: sp.caller.ClientUID, Roles: sp.caller.Roles,
		Collection: v.sc.collection.doc.UID, Record: v.rec.ID, Fields: fields,
	})
	sp.wait = max(sp.wait, verdict.Wait)
	return verdict.Masked, verdict.Err
}

// settle waits as long as a throttled call must before its answer leaves.
func (sp *spending) settle(ctx context.Context) error {
	if sp == nil || sp.wait <= 0 {
		return nil
	}
	timer := time.NewTimer(sp.wait)
	defer timer.Stop()
	sp.wait = 0
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// isExhausted reports whether an error says that a budget is used up.
func isExhausted(err error) bool { return errors.Is(err, limits.ErrExposure) }

// redact shows what the caller may see of a record without a value of it: its
// budget is used up.
func (v *viewer) redact(paths []string) {
	for _, path := range paths {
		if grant, wanted := v.grant(path); wanted && grant.Kind != access.None {
			v.add(path, nil, access.Grant{Kind: access.Masked, Mask: access.MaskRedact}, nil)
		}
	}
}

// maskedTag returns the entity tag of a record that is shown redacted: nobody
// may take it for what it shows otherwise.
func maskedTag(rec *Record, rev *revision, sc scope, fields []string) string {
	return etag(rec.Revision, rev.header.operation, sc, append(slices.Clone(fields), "\x00redacted"), false)
}
