package store

import (
	"fmt"
	"time"

	"strongroom/envelope"
	"strongroom/internal/audit"
	"strongroom/internal/uid"
)

// Ready says why the store is not as well as it should be; nothing when it is.
func (s *Store) Ready() (reasons []Reason) {
	for _, d := range s.domains.Health() {
		reasons = append(reasons, s.reasonOf(d))
	}
	cat := s.catalog.Load()
	if n := len(cat.damaged); n > 0 {
		reasons = append(reasons, Reason{Code: "integrity", Degraded: true, Detail: fmt.Sprintf("%d control-plane values failed their integrity check; run fsck", n)})
	}
	for _, in := range cat.integrations {
		for _, coll := range in.collections {
			if b := coll.doc.Backfill; b != nil && b.Problem != "" {
				reasons = append(reasons, Reason{Code: "backfill_failed", Degraded: true, Detail: in.name + "/" + coll.name + ": " + b.Problem})
			}
		}
	}
	return append(reasons, s.governanceReasons(cat)...)
}

// reasonOf says what is wrong with a key domain. An integration whose key is
// refused is its own trouble alone; without the system domain nothing is well.
func (s *Store) reasonOf(d envelope.Degraded) Reason {
	since := d.Since.UTC().Format(time.RFC3339)
	switch {
	case d.Damaged:
		return Reason{
			Code: "integrity", Degraded: !d.Integration.IsZero(),
			Detail: fmt.Sprintf("a keyset of %s failed its integrity check; run fsck (%s)", s.domainName(d.Integration), d.Reason),
		}
	case d.Refused:
		return Reason{
			Code: "key_refused", Degraded: !d.Integration.IsZero(),
			Detail: fmt.Sprintf("%s has refused the key of %s since %s (%s)", s.keys.Name(), s.domainName(d.Integration), since, d.Reason),
		}
	}
	return Reason{
		Code: "key_service_unavailable", Degraded: d.Serving,
		Detail: fmt.Sprintf("%s has been away since %s; %s serves with the keys held in memory until %s (%s)",
			s.keys.Name(), since, s.domainName(d.Integration), d.Until.UTC().Format(time.RFC3339), d.Reason),
	}
}

// domainName names a key domain for people.
func (s *Store) domainName(id uid.UID) string {
	if id.IsZero() {
		return "the system domain"
	}
	if cat := s.catalog.Load(); cat != nil {
		for name, in := range cat.integrations {
			if in.doc.UID == id {
				return "integration " + name
			}
		}
	}
	return "integration " + id.String()
}

// keyEvent logs and audits what happens to a held key domain.
func (s *Store) keyEvent(e envelope.Event) {
	s.logger.Warn("key domain "+string(e.Kind), "domain", s.domainName(e.Integration), "keys", s.keys.Name(), "reason", e.Err)
	entry := audit.Entry{
		Phase: audit.Event, Time: s.now(), Event: "key_domain_" + string(e.Kind),
		Target: s.domainName(e.Integration),
	}
	if e.Err != nil {
		entry.Detail = e.Err.Error()
	}
	if err := s.audit.Write(&entry); err != nil {
		s.logger.Error("the audit log cannot be written", "error", err)
	}
}
