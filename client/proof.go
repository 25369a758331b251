package client

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// PrivateKey is a key that signs. Like a Secret it prints as REDACTED.
type PrivateKey struct{ signer crypto.Signer }

// NewPrivateKey wraps a key: Ed25519, ECDSA P-256 or RSA, in memory or in a
// device.
func NewPrivateKey(key crypto.Signer) PrivateKey { return PrivateKey{key} }

// IsZero reports whether there is no key.
func (k PrivateKey) IsZero() bool { return k.signer == nil }

// Format writes REDACTED whatever the verb.
func (PrivateKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue returns REDACTED.
func (PrivateKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON writes "REDACTED".
func (PrivateKey) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// assertionLife is how long an assertion is good for: it is used at once.
const assertionLife = time.Minute

// proof adds to a token request what proves who asks. Each call may be used
// for one request.
type proof func(form url.Values, header http.Header) error

// proof returns the one way in which this configuration authenticates.
func (c Config) proof(base string) (proof, error) {
	ways := 0
	for _, given := range []bool{!c.ClientSecret.IsZero(), !c.PrivateKey.IsZero(), c.AssertionFile != ""} {
		if given {
			ways++
		}
	}
	switch {
	case ways == 0 && c.ClientCertFile != "" && c.ClientID != "":
		return byCertificate(c.ClientID), nil
	case ways != 1:
		return nil, errors.New("client: exactly one of a client secret, a private key and an assertion file is needed, or a certificate alone")
	case c.AssertionFile != "":
		return byAssertionFile(c.AssertionFile, c.ClientID), nil
	case c.ClientID == "":
		return nil, errors.New("client: a client id is needed")
	case !c.PrivateKey.IsZero():
		return byKey(c.ClientID, c.PrivateKey.signer, c.KeyID, orDefault(c.Issuer, base))
	}
	return bySecret(c.ClientID, c.ClientSecret), nil
}

// bySecret authenticates by HTTP Basic (RFC 6749, section 2.3.1).
func bySecret(id string, secret Secret) proof {
	return func(_ url.Values, header http.Header) error {
		r := http.Request{Header: header}
		r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret.Reveal()))
		return nil
	}
}

// byCertificate authenticates by the certificate of the connection (RFC 8705,
// section 2).
func byCertificate(id string) proof {
	return func(form url.Values, _ http.Header) error {
		form.Set("client_id", id)
		return nil
	}
}

// byKey authenticates by a signed assertion (RFC 7523, section 2.2).
func byKey(id string, key crypto.Signer, kid, audience string) (proof, error) {
	algorithm, err := algorithmOf(key)
	if err != nil {
		return nil, err
	}
	if kid == "" {
		if kid, err = thumbprint(key); err != nil {
			return nil, err
		}
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, fmt.Errorf("client: the private key: %w", err)
	}
	return func(form url.Values, _ http.Header) error {
		now := time.Now()
		text, err := jwt.Signed(signer).Claims(jwt.Claims{
			Issuer: id, Subject: id, Audience: jwt.Audience{audience}, ID: rand.Text(),
			IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(assertionLife)),
		}).Serialize()
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", text)
		return err
	}, nil
}

// byAssertionFile exchanges a token of an outside issuer (RFC 7523, section
// 2.1). A client id chooses among the clients that it may speak for.
func byAssertionFile(name, id string) proof {
	return func(form url.Values, _ http.Header) error {
		text, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("the assertion file: %w", err)
		}
		form.Set("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
		form.Set("assertion", strings.TrimSpace(string(text)))
		if id != "" {
			form.Set("client_id", id)
		}
		return nil
	}
}

func algorithmOf(key crypto.Signer) (jose.SignatureAlgorithm, error) {
	switch public := key.Public().(type) {
	case ed25519.PublicKey:
		return jose.EdDSA, nil
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P256() {
			return jose.ES256, nil
		}
	case *rsa.PublicKey:
		return jose.PS256, nil
	}
	return "", errors.New("client: the private key must be Ed25519, ECDSA P-256 or RSA")
}

func thumbprint(key crypto.Signer) (string, error) {
	public := jose.JSONWebKey{Key: key.Public()}
	sum, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("client: the private key: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// LoadPrivateKey reads a private key from a PEM file (PKCS #8).
func LoadPrivateKey(name string) (PrivateKey, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("client: read the private key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return PrivateKey{}, fmt.Errorf("client: %s holds no PEM block", name)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("client: %s holds no private key in PKCS #8", name)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return PrivateKey{}, fmt.Errorf("client: %s holds a key that cannot sign", name)
	}
	return PrivateKey{signer}, nil
}

// NewKeyPair makes an Ed25519 key for a client: the private key in PEM, to be
// kept where the client runs, and the set of its public key, to be registered.
func NewKeyPair() (privateKey Secret, jwks []byte, err error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Secret{}, nil, err
	}
	kid, err := thumbprint(key)
	if err != nil {
		return Secret{}, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Secret{}, nil, err
	}
	public := jose.JSONWebKey{Key: key.Public(), KeyID: kid, Algorithm: string(jose.EdDSA), Use: "sig"}
	text, err := public.MarshalJSON()
	if err != nil {
		return Secret{}, nil, err
	}
	return NewSecret(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))), []byte(`{"keys":[` + string(text) + `]}`), nil
}
