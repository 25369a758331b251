package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"strongroom/internal/access"
	"strongroom/internal/secret"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// Bounds of client secrets.
const (
	maxSecrets    = 8
	maxSecretTTL  = 10 * 365 * 24 * time.Hour
	secretPrefix  = "srs_" // lets scanners of repositories and logs find a leaked one
	secretIDBytes = 9
)

func secretControlID(cl *client, id string) string { return cl.doc.UID.String() + "/" + id }

// CreateSecret makes a secret of a client and returns it: the only time that
// anybody sees it, since its hash alone is kept. ttl 0 means that it does not
// expire.
func (s *Store) CreateSecret(ctx context.Context, c Caller, name string, ttl time.Duration, o WriteOptions) (out NewSecret, err error) {
	op := s.start(c, "create-secret", target{control: kindClient + "/" + name})
	defer func() { err = op.end(err) }()
	if err := authoriseControl(c, access.ManageClients); err != nil {
		return out, err
	}
	idem, err := s.claim(ctx, c, o)
	if err != nil {
		return out, err
	}
	defer idem.release()
	if idem.replay != nil {
		return out, &SecretReplayed{SecretID: idem.replay.id}
	}
	return s.createSecret(ctx, op, name, ttl, idem)
}

func (s *Store) createSecret(ctx context.Context, op *operation, name string, ttl time.Duration, idem *claim) (out NewSecret, err error) {
	if ttl < 0 || ttl > maxSecretTTL {
		return out, invalid("/ttl", "a secret lives up to ten years; leave ttl out for one that does not expire")
	}
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	cl, err := s.findClient(name)
	if err != nil {
		return out, err
	}
	if len(cl.secrets) >= maxSecrets {
		return out, errTooManySecrets
	}
	cat := s.catalog.Load()
	out, doc := s.mintSecret(ttl)
	if op.caller.ClientUID != cl.doc.UID {
		doc.Makers = cat.makersBy(op.caller.ClientUID)
	}
	also := idem.store(out.ID, 0, s.now())
	if s.waits(op.caller, cat, func() bool { return s.widerSecret(cat, op.caller, cl) }) {
		return NewSecret{}, s.holdSecret(ctx, op, cl, out, doc, also)
	}
	ready := s.secretWrite(cl, out.ID, doc)
	ready.also = also
	if err := s.change(ctx, op, ready); err != nil {
		return NewSecret{}, err
	}
	return out, nil
}

func (s *Store) secretWrite(cl *client, id string, doc secretDoc) controlChange {
	return controlChange{
		writes:  []controlWrite{{kind: kindSecret, id: secretControlID(cl, id), doc: doc}},
		publish: func(cat *catalog) { s.enrol(cat, cl.withSecret(id, &clientSecret{doc: doc, version: 1})) },
	}
}

// holdSecret keeps the hash of a secret that does not count yet. Its value is
// shown now, to who asked for it: nobody else gets to see it.
func (s *Store) holdSecret(ctx context.Context, op *operation, cl *client, out NewSecret, doc secretDoc, also func(kv.Tx)) error {
	err := s.hold(ctx, op, changeDoc{Kind: changeCreateSecret, Name: cl.name, Secret: &doc, SecretID: out.ID}, controlChange{also: also})
	if pending := (*ChangePending)(nil); errors.As(err, &pending) {
		pending.Secret = &out
	}
	return err
}

// secretChange makes ready what lets a secret count that waited.
func (s *Store) secretChange(d *changeDoc) (controlChange, error) {
	cl, err := s.findClient(d.Name)
	switch {
	case err != nil:
		return controlChange{}, err
	case d.Secret == nil || cl.secrets[d.SecretID] != nil:
		return controlChange{}, damaged(kindChange, errLayout)
	case len(cl.secrets) >= maxSecrets:
		return controlChange{}, errTooManySecrets
	}
	return s.secretWrite(cl, d.SecretID, *d.Secret), nil
}

var errTooManySecrets = fmt.Errorf("%w: a client has at most %d secrets; delete one first", ErrConflict, maxSecrets)

func (s *Store) mintSecret(ttl time.Duration) (NewSecret, secretDoc) {
	var id [secretIDBytes]byte
	var value [32]byte
	rand.Read(id[:])
	rand.Read(value[:])
	text := secretPrefix + base64.RawURLEncoding.EncodeToString(value[:])
	hash := sha256.Sum256([]byte(text))
	doc := secretDoc{Hash: hash[:], CreatedAt: s.now().UTC()}
	if ttl > 0 {
		at := doc.CreatedAt.Add(ttl)
		doc.ExpiresAt = &at
	}
	return NewSecret{
		SecretInfo: SecretInfo{ID: base64.RawURLEncoding.EncodeToString(id[:]), CreatedAt: doc.CreatedAt, ExpiresAt: doc.ExpiresAt},
		Secret:     secret.New(text),
	}, doc
}

// withSecret returns the client with one secret more, or one replaced; nil
// removes it.
func (cl *client) withSecret(id string, sec *clientSecret) *client {
	next := *cl
	next.secrets = maps.Clone(cl.secrets)
	if sec == nil {
		delete(next.secrets, id)
	} else {
		next.secrets[id] = sec
	}
	return &next
}

// ListSecrets tells of a client's secrets, oldest first.
func (s *Store) ListSecrets(ctx context.Context, c Caller, name string) (out []SecretInfo, err error) {
	op := s.start(c, "describe", target{control: kindClient + "/" + name})
	defer func() { err = op.end(err) }()
	if !canAny(c, access.ManageClients, access.ReadAudit) {
		return nil, ErrForbidden
	}
	cl, err := s.findClient(name)
	if err != nil {
		return nil, err
	}
	for id, sec := range cl.secrets {
		out = append(out, SecretInfo{ID: id, CreatedAt: sec.doc.CreatedAt, ExpiresAt: sec.doc.ExpiresAt})
	}
	slices.SortFunc(out, func(a, b SecretInfo) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return out, nil
}

// DeleteSecret ends a secret, and with it every token that was issued for it.
func (s *Store) DeleteSecret(ctx context.Context, c Caller, name, secretID string) (err error) {
	op := s.start(c, "delete-secret", target{control: kindClient + "/" + name})
	defer func() { err = op.end(err) }()
	if err := authoriseControl(c, access.ManageClients); err != nil {
		return err
	}
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	cl, err := s.findClient(name)
	if err != nil {
		return err
	}
	sec := cl.secrets[secretID]
	if sec == nil {
		return ErrNotFound
	}
	if err := s.keepAdministrator(s.catalog.Load(), name, cl.withSecret(secretID, nil)); err != nil {
		return err
	}
	return s.change(ctx, op, controlChange{
		writes:  []controlWrite{{kind: kindSecret, id: secretControlID(cl, secretID), replaces: sec.version}},
		publish: func(cat *catalog) { s.enrol(cat, cl.withSecret(secretID, nil)) },
	})
}

// VerifySecret authenticates a client by its secret, in a time that does not
// tell which of the two was wrong. A failure is audited.
func (s *Store) VerifySecret(ctx context.Context, a Attempt, value secret.Text) (out VerifiedClient, err error) {
	who := &access.Principal{Client: auditableName(a.Client), Address: a.Address, RequestID: a.RequestID, TraceParent: a.TraceParent}
	op := s.start(who, "authenticate", target{})
	defer func() { err = op.end(err) }()
	cat := s.catalog.Load()
	if cat.damage(kindClient, a.Client) != nil {
		return out, fmt.Errorf("%w: client %s", ErrIntegrity, a.Client)
	}
	cl := cat.clients[a.Client]
	id, ok := cl.matchSecret(value, s.now())
	if !ok {
		return out, ErrUnauthenticated
	}
	op.entry.ClientUID, op.entry.SecretID = cl.doc.UID, id
	return VerifiedClient{Client: cl.name, ClientUID: cl.doc.UID, SecretID: id}, nil
}

// auditableName keeps what cannot be a client's name, a mistyped secret
// perhaps, out of the audit log.
func auditableName(name string) string {
	if nameForm.MatchString(name) {
		return name
	}
	return ""
}

// matchSecret compares with every secret of the client, or with none of
// nobody's, in the same way.
func (cl *client) matchSecret(value secret.Text, now time.Time) (string, bool) {
	hash := sha256.Sum256([]byte(value.Reveal()))
	if cl == nil {
		subtle.ConstantTimeCompare(hash[:], bytes.Repeat([]byte{1}, len(hash)))
		return "", false
	}
	match, found := "", false
	for id, sec := range cl.secrets {
		same := subtle.ConstantTimeCompare(hash[:], sec.doc.Hash) == 1
		if same && sec.valid(now) {
			match, found = id, true
		}
	}
	return match, found && !cl.doc.Disabled
}

func (sec *clientSecret) valid(now time.Time) bool {
	return sec.doc.ExpiresAt == nil || now.Before(*sec.doc.ExpiresAt)
}

// Principal returns the client of a verified token as it stands now: the roles
// and labels of this moment, and ErrUnauthenticated once the client is gone or
// disabled, or the secret that the token was issued for is gone or expired.
// The caller adds what belongs to the request.
func (s *Store) Principal(name string, clientUID uid.UID, secretID string) (*access.Principal, error) {
	cat := s.catalog.Load()
	if cat.damage(kindClient, name) != nil {
		return nil, s.refuseDamaged(name, kindClient+"/"+name)
	}
	cl := cat.clients[name]
	if cl == nil || cl.doc.UID != clientUID || cl.doc.Disabled {
		return nil, ErrUnauthenticated
	}
	if sec := cl.secrets[secretID]; sec == nil || !sec.valid(s.now()) {
		return nil, ErrUnauthenticated
	}
	if role, bad := cat.damagedRole(cl.doc.Roles); bad {
		return nil, s.refuseDamaged(name, kindRole+"/"+role)
	}
	return &access.Principal{
		Client: cl.name, ClientUID: cl.doc.UID, Roles: cl.doc.Roles, Policy: cl.policy, Labels: cl.doc.Labels, SecretID: secretID,
	}, nil
}

// refuseDamaged refuses a client of whose definition a part failed its
// integrity check, audited and counted.
func (s *Store) refuseDamaged(client, control string) error {
	op := s.start(&access.Principal{Client: client}, "authenticate", target{control: control})
	return op.end(fmt.Errorf("%w: %s", ErrIntegrity, control))
}

// InitialClient makes a client with a secret by whoever holds the machine and
// its keys: the first administrator, and the dev client.
func (s *Store) InitialClient(ctx context.Context, name string, roles []string) (NewSecret, error) {
	op := s.startInternal("put", kindClient+"/"+name)
	_, _, err := s.putClient(ctx, op, name, ClientSpec{Roles: roles}, Precondition{Absent: true})
	if err = op.end(err); err != nil {
		return NewSecret{}, err
	}
	op = s.startInternal("create-secret", kindClient+"/"+name)
	out, err := s.createSecret(ctx, op, name, 0, &claim{})
	return out, op.end(err)
}
