package rotate

import (
	"encoding/json"
	"fmt"
	"time"

	"strongroom/internal/attest"
	"strongroom/internal/uid"
)

// ReportKind is the kind of the statements that reports are.
const ReportKind = "rotation-report"

// Report is the signed account of a rotation that ended.
type Report struct {
	StoreUID uid.UID  `json:"store_uid"`
	Rotation Rotation `json:"rotation"`
	// Proven says that in every part a count of 0 and a full scan agreed that
	// nothing was left under the keys that were replaced, before they were
	// destroyed.
	Proven   bool      `json:"proven"`
	IssuedAt time.Time `json:"issued_at"`
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
