package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"maps"
	"slices"
	"time"

	"strongroom/internal/access"
	"strongroom/internal/ledger"
	"strongroom/internal/secret"
	"strongroom/store/kv"
)

// Bounds of client secrets.
const (
	maxSecrets    = 2 // the one in use, and the one that takes its place
	maxSecretTTL  = 10 * 365 * 24 * time.Hour
	secretTTL     = 90 * 24 * time.Hour // unless the caller says otherwise
	secretPrefix  = "srs_"              // lets scanners of repositories and logs find a leaked one
	secretIDBytes = 9
)

func secretControlID(cl *client, id string) string { return cl.doc.UID.String() + "/" + id }

// CreateSecret makes a secret of a client and returns it: the only time that
// anybody sees it, since its hash alone is kept. ttl 0 means 90 days. A client
// has two secrets at most, so that one can take the place of the other without
// a gap; an expired one gives way.
func (s *Store) CreateSecret(ctx context.Context, c Caller, name string, ttl time.Duration, o WriteOptions) (out NewSecret, err error) {
	op := s.start(c, "create-secret", target{control: kindClient + "/" + name})
	defer func() { err = op.end(err) }()
	if err := authoriseControl(c, access.ManageClients); err != nil {
		return out, err
	}
	cl, err := s.findClient(name)
	if err != nil {
		return out, err
	}
	idem, err := s.claim(ctx, c, cl.doc.UID, o)
	if err != nil {
		return out, err
	}
	defer idem.release()
	if idem.replay != nil {
		return out, &SecretReplayed{SecretID: idem.replay.id}
	}
	if ttl == 0 {
		ttl = secretTTL
	}
	return s.createSecret(ctx, op, name, ttl, idem)
}

// createSecret is CreateSecret once it was allowed; ttl 0 means that the secret
// does not expire.
func (s *Store) createSecret(ctx context.Context, op *operation, name string, ttl time.Duration, idem *claim) (out NewSecret, err error) {
	if ttl < 0 || ttl > maxSecretTTL {
		return out, invalid("/ttl", "a secret lives up to ten years; leave ttl out for 90 days")
	}
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	cl, err := s.findClient(name)
	if err != nil {
		return out, err
	}
	cat := s.catalog.Load()
	out, doc := s.mintSecret(ttl)
	if op.caller.ClientUID != cl.doc.UID {
		doc.Makers = cat.makersBy(op.caller.ClientUID)
	}
	ready, err := s.secretWrite(cl, out.ID, doc)
	if err != nil {
		return NewSecret{}, err
	}
	ready.idem, ready.made = idem, remembered{id: out.ID, made: true}
	if s.waits(op.caller, cat, func() bool { return s.widerSecret(cat, op.caller, cl) }) {
		return NewSecret{}, s.holdSecret(ctx, op, cl, out, doc, ready)
	}
	if err := s.change(ctx, op, ready); err != nil {
		return NewSecret{}, err
	}
	return out, nil
}

// roomForSecret returns the client without its expired secrets, and the writes
// that remove them, when there is room for one more.
func (s *Store) roomForSecret(cl *client) (next *client, gone []controlWrite, err error) {
	if cl.proof.method != AuthSecret {
		return nil, nil, &Conflict{"this client authenticates by " + cl.proof.method + ", and a secret would be of no use to it"}
	}
	next = cl
	for id, sec := range cl.secrets {
		if !sec.valid(s.now()) {
			gone = append(gone, controlWrite{kind: kindSecret, id: secretControlID(cl, id), replaces: sec.version})
			next = next.withSecret(id, nil)
		}
	}
	if len(next.secrets) >= maxSecrets {
		return nil, nil, &Conflict{"a client has two secrets at most, the one in use and the one that takes its place: delete one first"}
	}
	return next, gone, nil
}

// forgetUses removes what is known of the use of secrets that are deleted.
func forgetUses(tx kv.Tx, gone []controlWrite) {
	for _, w := range gone {
		if w.kind == kindSecret {
			dropControl(tx, controlKey(kindUse, w.id))
		}
	}
}

// secretWrite makes ready what gives a client one more secret, and takes those
// that have expired.
func (s *Store) secretWrite(cl *client, id string, doc secretDoc) (controlChange, error) {
	next, gone, err := s.roomForSecret(cl)
	if err != nil {
		return controlChange{}, err
	}
	return controlChange{
		writes: append(gone, controlWrite{kind: kindSecret, id: secretControlID(cl, id), doc: doc}),
		also:   func(tx kv.Tx) { forgetUses(tx, gone) },
		publish: func(cat *catalog) {
			s.enrol(cat, next.withSecret(id, &clientSecret{doc: doc, version: 1, use: &lastUse{}}))
		},
	}, nil
}

// holdSecret keeps the hash of a secret that does not count yet. Its value is
// shown now, to who asked for it: nobody else gets to see it.
func (s *Store) holdSecret(ctx context.Context, op *operation, cl *client, out NewSecret, doc secretDoc, ready controlChange) error {
	err := s.hold(ctx, op, changeDoc{Kind: changeCreateSecret, Name: cl.name, Secret: &doc, SecretID: out.ID}, controlChange{idem: ready.idem, made: ready.made})
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
	}
	return s.secretWrite(cl, d.SecretID, *d.Secret)
}

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
		out = append(out, SecretInfo{ID: id, CreatedAt: sec.doc.CreatedAt, ExpiresAt: sec.doc.ExpiresAt, LastUsedAt: sec.use.time()})
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
	writes := []controlWrite{{kind: kindSecret, id: secretControlID(cl, secretID), replaces: sec.version}}
	if err := s.keepAdministrator(s.catalog.Load(), name, cl.withSecret(secretID, nil)); err != nil {
		return err
	}
	return s.change(ctx, op, controlChange{
		writes:  writes,
		also:    func(tx kv.Tx) { forgetUses(tx, writes) },
		publish: func(cat *catalog) { s.enrol(cat, cl.withSecret(secretID, nil)) },
		notes:   []ledger.Note{{Kind: ledger.SecretRevoked, Client: cl.doc.UID, Name: name, Secret: secretID}},
	})
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
