package rotate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"strongroom/envelope"
	"strongroom/internal/attest"
	"strongroom/internal/uid"
	"strongroom/store"
)

// ReportKind is the kind of the statements that reports are.
const ReportKind = "rotation-report"

// Report is the signed account of a rotation that ended.
type Report struct {
	StoreUID uid.UID  `json:"store_uid"`
	Rotation Rotation `json:"rotation"`
	// Proven says that in every part a count of 0 and a full scan agreed that
	// nothing was left under the keys that were replaced, before they were
	// destroyed; of the depth kek, that no keyset was left under an older
	// version.
	Proven   bool      `json:"proven"`
	IssuedAt time.Time `json:"issued_at"`
}

// Report returns the signed report of a rotation that ended: see VerifyReport.
func (m *Manager) Report(ctx context.Context, c store.Caller, id string) ([]byte, error) {
	r, err := m.look(ctx, c, id)
	if err != nil {
		return nil, err
	}
	now := m.describe(r, true)
	if !now.State.Ended() {
		return nil, &store.Conflict{Detail: "the report is made when the rotation has ended: it is " + string(now.State)}
	}
	return m.store.Attest(ctx, ReportKind, Report{
		StoreUID: m.store.UID(), Rotation: now, Proven: now.proven(), IssuedAt: m.now().UTC(),
	})
}

// proven reports whether every part has proved what it did.
func (r *Rotation) proven() bool {
	for i := range r.Parts {
		if !r.Parts[i].proven() {
			return false
		}
	}
	return r.State == StateDone
}

func (d *Part) proven() bool {
	if d.Step != StepDone {
		return false
	}
	_, verified := d.Times[StepKEKVerify]
	if len(d.Purposes) > 0 {
		verified = d.Scan != nil && d.Scan.Left == 0 && d.Scan.Counted == 0
	}
	return verified
}

// VerifyReport checks a report against the store's public keys, without the
// store, and returns what it says: a key of that store signed it, and when it
// claims to be proven, its own figures say so.
func VerifyReport(text []byte, keys []string) (Report, error) {
	var r Report
	signer, err := openStatement(text, keys, ReportKind, "the report of a rotation", &r)
	if err == nil {
		err = signedBy(signer, r.StoreUID)
	}
	if err == nil && r.Proven && !r.Rotation.addsUp() {
		err = errors.New("the report claims that nothing is left under the old keys, and its figures do not say so")
	}
	if err != nil {
		return Report{}, err
	}
	return r, nil
}

// addsUp reports whether the figures of a rotation prove what it did: every old
// key at 0, by count and by scan.
func (r *Rotation) addsUp() bool {
	for i := range r.Parts {
		p := &r.Parts[i]
		for _, old := range p.Old {
			if n, counted := p.Counts.After[envelope.FormatKeyID(old.KeyID)]; n > 0 || !counted {
				return false
			}
		}
		if p.Scan != nil && p.Scan.Damaged > 0 {
			return false
		}
	}
	return len(r.Parts) > 0 && r.proven()
}

// openStatement reads a statement of a kind that one of the keys has signed, and
// returns the name that the key bears.
func openStatement(text []byte, keys []string, kind, called string, into any) (signer string, err error) {
	v, err := attest.Open(text, keys)
	switch {
	case err != nil:
		return "", err
	case v.Kind != kind:
		return "", fmt.Errorf("this is a statement of the kind %s, not %s", v.Kind, called)
	}
	if err := json.Unmarshal(v.Document, into); err != nil {
		return "", fmt.Errorf("read %s: %w", called, err)
	}
	return v.Signer, nil
}

// signedBy refuses a statement about a store that another store has signed,
// whose key is trusted too.
func signedBy(signer string, about uid.UID) error {
	if signer != store.SignerName(about) {
		return fmt.Errorf("this is about the store %s, and %s has signed it", about, signer)
	}
	return nil
}
