package store

import (
	"context"

	"strongroom/internal/access"
)

// DescribeRow authorises and audits a look at a row, or at all rows of a kind
// when it names none: by whoever operates keys, or audits.
func (s *Store) DescribeRow(c Caller, kind RowKind, id string) (err error) {
	at := string(kind)
	if id != "" {
		at += "/" + id
	}
	op := s.start(c, "describe", target{control: at})
	defer func() { err = op.end(err) }()
	if !isInternal(c) && !c.Policy.CanAny(access.OperateKeys|access.ReadAudit) {
		return ErrForbidden
	}
	return nil
}

// AuthoriseRow judges a change of a row before it is made ready. A refusal is
// audited here; what is allowed is audited when it is written.
func (s *Store) AuthoriseRow(c Caller, action string, kind RowKind, id string) error {
	if err := authoriseKeys(c); err != nil {
		return s.start(c, access.Action(action), target{control: string(kind) + "/" + id}).end(err)
	}
	return nil
}

// KeysOf is Keys for one domain, which must be in use.
func (s *Store) KeysOf(ctx context.Context, c Caller, d KeyDomain) (DomainKeys, error) {
	if err := s.mayOperate(c, d); err != nil {
		return DomainKeys{}, err
	}
	deadline, cancel := context.WithTimeout(ctx, kekTimeout)
	defer cancel()
	return s.keysOf(ctx, deadline, d)
}

// RenewSigners makes the keys anew that sign access tokens and statements, where
// they are older than the system's primary key. A sweep of the system domain
// does so at its end; who carries it on calls it again, in case that was missed.
// With endTokens every access token of before is worth nothing from now on.
func (s *Store) RenewSigners(ctx context.Context, endTokens bool) error {
	return s.renewSigners(ctx, endTokens)
}
