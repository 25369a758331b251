package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"strongroom/internal/attest"
	"strongroom/internal/secret"
	"strongroom/internal/uid"
	"strongroom/store/kv"
)

// VerifierKey is a public key that statements of this store were signed with.
type VerifierKey struct {
	Key       string     `json:"key"` // as package attest takes it
	CreatedAt time.Time  `json:"created_at"`
	RetiredAt *time.Time `json:"retired_at,omitempty"` // since then it signs nothing more, and its private key is gone
}

// attestKeyDoc is a key that reports and certificates are signed with. Of one
// that was retired only the public key is left.
type attestKeyDoc struct {
	Signer    string     `json:"signer,omitempty"`
	Verifier  string     `json:"verifier"`
	CreatedAt time.Time  `json:"created_at"`
	RetiredAt *time.Time `json:"retired_at,omitempty"`
}

// attestKey is one of them in the catalog.
type attestKey struct {
	id      string
	doc     attestKeyDoc
	version uint64
}

// String tells which key it is and nothing of it.
func (k attestKey) String() string { return "attest key " + k.id }

// GoString is String, for every verb of package fmt.
func (k attestKey) GoString() string { return k.String() }

// attestSigner returns the key that signs now, nil when there is none.
func (c *catalog) attestSigner() *attestKey {
	for i := range c.attest {
		if k := &c.attest[i]; k.doc.RetiredAt == nil {
			return k
		}
	}
	return nil
}

// SignerName is the name that the keys of a store's statements bear.
func SignerName(store uid.UID) string { return "strongroom-" + store.String() }

// Attest signs a statement: a document of a kind, which whoever has the key
// that AttestKeys tells can verify without this store. The first statement of
// a store makes the key; it is kept sealed.
func (s *Store) Attest(ctx context.Context, kind string, doc any) ([]byte, error) {
	k := s.catalog.Load().attestSigner()
	if k == nil {
		var err error
		if k, err = s.firstAttestKey(ctx); err != nil {
			return nil, err
		}
	}
	return attest.Key{Signer: secret.New(k.doc.Signer), Verifier: k.doc.Verifier}.Sign(kind, s.now(), doc)
}

func (s *Store) firstAttestKey(ctx context.Context) (*attestKey, error) {
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	if k := s.catalog.Load().attestSigner(); k != nil {
		return k, nil
	}
	op := s.startInternal("create", kindAttestKey)
	err := op.end(s.replaceAttestKey(ctx, op))
	return s.catalog.Load().attestSigner(), err
}

// AttestKeys returns the public keys of all statements that this store ever
// signed, the one that signs now first.
func (s *Store) AttestKeys() (out []VerifierKey) {
	for _, k := range s.catalog.Load().attest {
		out = append(out, VerifierKey{Key: k.doc.Verifier, CreatedAt: k.doc.CreatedAt, RetiredAt: k.doc.RetiredAt})
	}
	slices.SortFunc(out, func(a, b VerifierKey) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return out
}

// RotateAttestKey makes another key sign from now on, when the one that signs
// is older than since: called again with the same instant, it does nothing. Of
// the old one the public key stays listed, so that what it signed can be
// verified, and the private key is gone.
func (s *Store) RotateAttestKey(ctx context.Context, since time.Time) error {
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	k := s.catalog.Load().attestSigner()
	if k == nil || !k.doc.CreatedAt.Before(since) {
		return nil
	}
	op := s.startInternal("rotate", kindAttestKey)
	return op.end(s.replaceAttestKey(ctx, op))
}

// replaceAttestKey makes a key, and retires the one that signed. The caller
// holds controlMu.
func (s *Store) replaceAttestKey(ctx context.Context, op *operation) error {
	made, err := attest.NewKey(SignerName(s.id))
	if err != nil {
		return err
	}
	now := s.now().UTC()
	next := attestKey{id: attestKeyID(made.Verifier), version: 1, doc: attestKeyDoc{Signer: made.Signer.Reveal(), Verifier: made.Verifier, CreatedAt: now}}
	writes := []controlWrite{{kind: kindAttestKey, id: next.id, doc: next.doc}}
	var retired *attestKey
	if old := s.catalog.Load().attestSigner(); old != nil {
		doc := attestKeyDoc{Verifier: old.doc.Verifier, CreatedAt: old.doc.CreatedAt, RetiredAt: &now}
		retired = &attestKey{id: old.id, version: old.version + 1, doc: doc}
		writes = append(writes, controlWrite{kind: kindAttestKey, id: old.id, replaces: old.version, doc: doc})
	}
	return s.change(ctx, op, controlChange{
		writes: writes,
		publish: func(cat *catalog) {
			cat.attest = append(slices.DeleteFunc(slices.Clone(cat.attest), func(k attestKey) bool { return retired != nil && k.id == retired.id }), next)
			if retired != nil {
				cat.attest = append(cat.attest, *retired)
			}
		},
	})
}

// attestKeyID is the key hash of a verifier key, which every signature names.
func attestKeyID(verifier string) string {
	parts := strings.SplitN(verifier, "+", 3)
	return parts[1]
}

func (l *loader) attest(tx kv.ReadTx) {
	openControl(l.system, tx, kindAttestKey, func(id string, v uint64, doc attestKeyDoc) {
		l.catalog.attest = append(l.catalog.attest, attestKey{id: id, doc: doc, version: v})
	}, l.damaged(kindAttestKey))
}
