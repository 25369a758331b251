package identity

import (
	"bytes"
	"context"
	stdjson "encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"strongroom/internal/jwks"
	"strongroom/store"
)

// discoveryFor is how long what an issuer's discovery document says is used.
const discoveryFor = 15 * time.Minute

// maxSubject bounds the sub claim, in bytes.
const maxSubject = 1024

// providers holds the URLs of issuers' key sets, by issuer.
type providers = places[string]

// issuerIn returns the iss claim of a token that nobody verified yet: it
// decides whose keys are tried. Empty when there is none.
func issuerIn(assertion string) string {
	_, claims, ok := parseAssertion(assertion)
	if !ok {
		return ""
	}
	return claims.Issuer
}

// verifyVouched verifies a token of an outside issuer: signature, issuer,
// audience and times.
func (a *Authority) verifyVouched(ctx context.Context, assertion string, i store.Issuer) (v store.Vouched, err error) {
	keys := &issuerKeys{a: a, issuer: i}
	algorithms := make([]string, 0, 5)
	for _, alg := range jwks.Algorithms() {
		algorithms = append(algorithms, string(alg))
	}
	// The audience is checked below: an issuer may have several.
	verifier := oidc.NewVerifier(i.URL, keys, &oidc.Config{SkipClientIDCheck: true, SupportedSigningAlgs: algorithms, Now: a.now})
	token, err := verifier.Verify(ctx, assertion)
	switch {
	case keys.away != nil:
		return v, keys.away
	case err != nil:
		return v, unproven("the token is not one that the issuer signed and that is valid now")
	}
	claims, err := strictClaims(keys.payload)
	if err != nil {
		return v, err
	}
	switch {
	case claims["iss"] != i.URL:
		return v, unproven("the token is of another issuer")
	case !slices.ContainsFunc(token.Audience, func(aud string) bool { return slices.Contains(i.Audiences, aud) }):
		return v, unproven("the token is for somebody else")
	case token.Subject == "" || len(token.Subject) > maxSubject:
		return v, unproven("the token has no sub that can be used")
	case !a.now().Before(token.Expiry):
		return v, unproven("the token has expired")
	case token.IssuedAt.After(a.now().Add(clockSkew)):
		return v, unproven("the token is of the future")
	}
	id, _ := claims["jti"].(string)
	if len(id) > maxJTI {
		return v, unproven("the token has no jti that can be kept")
	}
	return store.Vouched{Subject: token.Subject, ID: id, Expires: token.Expiry, Claims: claims}, nil
}

// strictClaims reads the claims, in which no member may stand twice: two readers
// could go by different ones.
func strictClaims(payload []byte) (map[string]any, error) {
	var value jsontext.Value
	if err := json.Unmarshal(payload, &value); err != nil {
		return nil, unproven("the token's claims are not well-formed, or one stands there twice")
	}
	claims := map[string]any{}
	decoder := stdjson.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber()
	if err := decoder.Decode(&claims); err != nil {
		return nil, unproven("the token's claims are not an object")
	}
	return claims, nil
}

// issuerKeys verifies signatures by the keys of one issuer, for one token.
type issuerKeys struct {
	a       *Authority
	issuer  store.Issuer
	payload []byte // of the token, once its signature was found right
	away    error  // the keys cannot be had
}

// VerifySignature implements oidc.KeySet.
func (k *issuerKeys) VerifySignature(ctx context.Context, text string) ([]byte, error) {
	signed, err := jose.ParseSignedCompact(text, jwks.Algorithms())
	if err != nil || len(signed.Signatures) != 1 {
		return nil, errors.New("not a signed token")
	}
	uri, err := k.keysURI(ctx)
	if err != nil {
		k.away = err
		return nil, err
	}
	h := signed.Signatures[0].Header
	key, ok, err := k.a.remote.find(ctx, uri, h.KeyID, h.Algorithm)
	if err != nil {
		k.away = err
		return nil, err
	}
	if !ok {
		return nil, errors.New("no such key")
	}
	if k.payload, err = signed.Verify(key.Verifier()); err != nil {
		return nil, err
	}
	return k.payload, nil
}

// keysURI returns where the issuer's keys are, by its discovery document
// (OpenID Connect Discovery 1.0) unless that was said.
func (k *issuerKeys) keysURI(ctx context.Context) (string, error) {
	if k.issuer.JWKSURI != "" {
		return k.issuer.JWKSURI, nil
	}
	place := k.a.providers.at(k.issuer.URL)
	return place.get(k.a.now(), discoveryFor, func() (string, error) {
		ctx := oidc.ClientContext(context.WithoutCancel(ctx), k.a.outbound.Client())
		provider, err := oidc.NewProvider(ctx, k.issuer.URL)
		if err != nil {
			return "", errDiscovery
		}
		var document struct {
			JWKSURI string `json:"jwks_uri"`
		}
		if err := provider.Claims(&document); err != nil || document.JWKSURI == "" {
			return "", errDiscovery
		}
		return document.JWKSURI, nil
	})
}

// errDiscovery comes without the words of the library, which repeat what was
// fetched.
var errDiscovery = errors.New("the issuer's discovery document cannot be had, or is of another issuer")
