package store

import (
	"context"
	"encoding/hex"
	"slices"
	"time"
)

// Vouched is what a token of an outside issuer says, verified.
type Vouched struct {
	Subject string
	ID      string // jti, empty when it has none
	Expires time.Time
	Claims  map[string]any
}

// maxSingleUse bounds the time for which a token that counts once must be
// remembered.
const maxSingleUse = 24 * time.Hour

// AuthenticateVouched judges and audits an attempt to be a client on the word
// of the issuer with this URL. verify checks the token that it signed. The
// first rule that fits names the client; when the attempt names one, the first
// rule that fits and names the same.
//
// The audit log names issuer and client. The subject may be a person: it is
// told as a keyed hash, by which entries of one subject can be found together
// and the subject cannot be guessed.
func (s *Store) AuthenticateVouched(ctx context.Context, a Attempt, url string, verify func(Issuer) (Vouched, error)) (out VerifiedClient, err error) {
	op := s.start(a.principal(), "authenticate", target{})
	op.entry.Detail = a.Method
	defer func() { err = op.endAttempt(err) }()
	i := s.catalog.Load().issuerOf(url)
	if i == nil {
		return out, &Unproven{"the issuer is not known here"}
	}
	op.entry.Target = loggable(kindIssuer + "/" + i.name)
	v, err := verify(i.describe())
	if err != nil {
		return out, err
	}
	if op.entry.Detail, err = s.describeSubject(ctx, a.Method, i, v.Subject); err != nil {
		return out, err
	}
	rule, ok := i.match(v, a.Client)
	if !ok {
		return out, &Unproven{"no rule of the issuer fits what the token claims"}
	}
	if !i.doc.Spec.Reuse {
		if err := s.useOnce(ctx, i, v); err != nil {
			return out, err
		}
	}
	return s.vouchedFor(op, i, rule)
}

func (s *Store) describeSubject(ctx context.Context, method string, i *issuer, subject string) (string, error) {
	system, err := s.domains.System(ctx)
	if err != nil {
		return "", keyError(err)
	}
	mac, err := system.MAC("issuer-subject", i.doc.UID[:], []byte(subject))
	if err != nil {
		return "", keyError(err)
	}
	return method + ": subject " + hex.EncodeToString(mac[:8]), nil
}

// useOnce spends a token that counts once.
func (s *Store) useOnce(ctx context.Context, i *issuer, v Vouched) error {
	switch {
	case v.ID == "":
		return &Unproven{"the token has no jti, and those of this issuer count once"}
	case v.Expires.After(s.now().Add(maxSingleUse)):
		return &Unproven{"the token lives longer than a token that counts once may"}
	}
	return s.spend(ctx, i.doc.UID, v.ID, v.Expires)
}

// vouchedFor finds the client that a rule means, as it is now.
func (s *Store) vouchedFor(op *operation, i *issuer, rule int) (VerifiedClient, error) {
	cat := s.catalog.Load()
	name, credential := i.doc.Spec.Rules[rule].Client, i.credential(rule)
	op.entry.Client = name
	cl := cat.clients[name]
	if cl == nil || cl.doc.Disabled || cl.doc.UID != i.doc.Clients[rule] || cat.vouchers[credential] != cl.doc.UID {
		return VerifiedClient{}, &Unproven{"the client that the issuer's rule names is gone or disabled"}
	}
	op.entry.ClientUID, op.entry.SecretID = cl.doc.UID, credential
	return cl.verified(credential), nil
}

func (c *catalog) issuerOf(url string) *issuer {
	for _, i := range c.issuers {
		if i.doc.Spec.URL == url {
			return i
		}
	}
	return nil
}

// match returns the first rule that fits and, when one is wanted, names that
// client.
func (i *issuer) match(v Vouched, client string) (int, bool) {
	n := slices.IndexFunc(i.doc.Spec.Rules, func(r IssuerRule) bool {
		return (client == "" || r.Client == client) && r.fits(v.Claims)
	})
	return n, n >= 0
}
