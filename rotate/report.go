package rotate

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

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
// store, and returns what it says.
func VerifyReport(text []byte, keys []string) (Report, error) {
	var r Report
	kind, doc, err := attest.Verify(text, keys)
	if err != nil {
		return r, err
	}
	if kind != ReportKind {
		return r, fmt.Errorf("this is a statement of the kind %s, not the report of a rotation", kind)
	}
	if err := json.Unmarshal(doc, &r); err != nil {
		return r, fmt.Errorf("read the report: %w", err)
	}
	return r, nil
}
