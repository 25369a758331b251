// Package attest makes and verifies statements: one JSON document each, signed
// with Ed25519 (RFC 8032) as a note of golang.org/x/mod/sumdb/note, so that
// whoever has the public key can check a report or a certificate without the
// store that made it.
//
// Layout of a statement:
//
//	{"statement":1,"kind":KIND,"issued_at":TIME,"document":DOCUMENT}, indented, and a newline
//	an empty line
//	— NAME base64(u32 key hash | 64 signature)
//
// A verifier key is NAME+HASH+base64(01 | 32 public key), as the note package
// writes it. NAME says which store signs: "strongroom-" and its uid.
package attest

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"

	"strongroom/internal/secret"
)

// Errors of Verify.
var (
	// ErrUnverified comes when none of the keys given signed the statement, or
	// it was changed since.
	ErrUnverified = errors.New("this statement was not signed by any of the keys given, or it was changed since")
	// ErrMalformed comes when a text is no statement at all.
	ErrMalformed = errors.New("this is not a signed statement of Strongroom")
	// ErrKey comes when a key cannot be read.
	ErrKey = errors.New("this is not a key of signed statements")
)

// format is the version of the layout.
const format = 1

// statement is the text of a note.
type statement struct {
	Format   int             `json:"statement"`
	Kind     string          `json:"kind"`
	IssuedAt time.Time       `json:"issued_at"`
	Document json.RawMessage `json:"document"`
}

// Key signs statements.
type Key struct {
	Signer   secret.Text // the private key, as the note package writes it
	Verifier string      // the public key; safe to hand out
}

// NewKey makes a key whose signatures bear a name.
func NewKey(name string) (Key, error) {
	signer, verifier, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return Key{}, fmt.Errorf("attest: make a key: %w", err)
	}
	return Key{Signer: secret.New(signer), Verifier: verifier}, nil
}

// Sign makes the statement of a document.
func (k Key) Sign(kind string, issued time.Time, document any) ([]byte, error) {
	signer, err := note.NewSigner(k.Signer.Reveal())
	if err != nil {
		return nil, ErrKey // the cause would quote the key
	}
	raw, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("attest: encode %s: %w", kind, err)
	}
	text, err := json.MarshalIndent(statement{format, kind, issued.UTC(), raw}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("attest: encode %s: %w", kind, err)
	}
	signed, err := note.Sign(&note.Note{Text: string(text) + "\n"}, signer)
	if err != nil {
		return nil, fmt.Errorf("attest: sign %s: %w", kind, err)
	}
	return signed, nil
}

// Verified is a statement that one of the keys signed.
type Verified struct {
	Kind     string
	IssuedAt time.Time
	Signer   string // the name that the key bears
	Document json.RawMessage
}

// Verify checks a statement against verifier keys, of which one has to have
// signed it, and returns its kind and its document.
func Verify(text []byte, keys []string) (kind string, document json.RawMessage, err error) {
	v, err := Open(text, keys)
	return v.Kind, v.Document, err
}

// Open is Verify, and tells who signed it and when.
func Open(text []byte, keys []string) (Verified, error) {
	known, err := verifiers(keys)
	if err != nil {
		return Verified{}, err
	}
	n, err := note.Open(text, known)
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &unverified), errors.As(err, &invalid):
		return Verified{}, ErrUnverified
	case err != nil, !canonical(n.Sigs):
		return Verified{}, ErrMalformed
	}
	s, err := decode(n.Text)
	if err != nil {
		return Verified{}, err
	}
	return Verified{Kind: s.Kind, IssuedAt: s.IssuedAt, Signer: n.Sigs[0].Name, Document: s.Document}, nil
}

// canonical reports whether signatures are written in the one way that base64
// has for them (RFC 4648, section 3.5): a statement has one text.
func canonical(signatures []note.Signature) bool {
	return !slices.ContainsFunc(signatures, func(s note.Signature) bool {
		_, err := base64.StdEncoding.Strict().DecodeString(s.Base64)
		return err != nil
	})
}

func verifiers(keys []string) (note.Verifiers, error) {
	var list []note.Verifier
	seen := map[string]bool{}
	for _, key := range keys {
		if seen[key] {
			continue // a key that is listed twice would be ambiguous
		}
		seen[key] = true
		v, err := note.NewVerifier(key)
		if err != nil {
			return nil, ErrKey
		}
		list = append(list, v)
	}
	return note.VerifierList(list...), nil
}

// decode reads the text of a note whose signature was checked.
func decode(text string) (s statement, err error) {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	if d.Decode(&s) != nil || s.Format != format || s.Kind == "" || len(s.Document) == 0 || d.More() {
		return statement{}, ErrMalformed
	}
	return s, nil
}
