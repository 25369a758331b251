package identity

import (
	"context"

	"github.com/go-jose/go-jose/v4"

	"strongroom/internal/jwks"
	"strongroom/store"
)

// Metadata is the authorisation server's description of itself (RFC 8414).
type Metadata struct {
	Issuer             string   `json:"issuer"`
	TokenEndpoint      string   `json:"token_endpoint"`
	JWKSURI            string   `json:"jwks_uri"`
	IntrospectEndpoint string   `json:"introspection_endpoint"`
	RevokeEndpoint     string   `json:"revocation_endpoint"`
	ResponseTypes      []string `json:"response_types_supported"` // none: nobody is sent to a browser
	GrantTypes         []string `json:"grant_types_supported"`
	AuthMethods        []string `json:"token_endpoint_auth_methods_supported"`
	AuthAlgorithms     []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	IntrospectMethods  []string `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectAlgs     []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	RevokeMethods      []string `json:"revocation_endpoint_auth_methods_supported"`
	RevokeAlgs         []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	DPoPAlgorithms     []string `json:"dpop_signing_alg_values_supported"`
	CertificateBound   bool     `json:"tls_client_certificate_bound_access_tokens"`
	ServiceDocs        string   `json:"service_documentation"`
}

// Metadata describes the server.
func (a *Authority) Metadata() Metadata {
	methods := []string{store.AuthSecret, "client_secret_post", store.AuthPrivateKey, store.AuthTLS, store.AuthSelfSignedTLS}
	algorithms := algorithmNames()
	return Metadata{
		Issuer: a.issuer, TokenEndpoint: a.endpoint("/oauth2/token"), JWKSURI: a.endpoint("/.well-known/jwks.json"),
		IntrospectEndpoint: a.endpoint("/oauth2/introspect"), RevokeEndpoint: a.endpoint("/oauth2/revoke"),
		ResponseTypes: []string{}, GrantTypes: []string{grantCredentials, grantJWT},
		AuthMethods: methods, AuthAlgorithms: algorithms, IntrospectMethods: methods, IntrospectAlgs: algorithms,
		RevokeMethods: methods, RevokeAlgs: algorithms, DPoPAlgorithms: algorithms, CertificateBound: true,
		ServiceDocs: a.endpoint("/openapi.json"),
	}
}

func algorithmNames() (names []string) {
	for _, alg := range jwks.Algorithms() {
		names = append(names, string(alg))
	}
	return names
}

// Issuer returns the iss claim of the server's tokens.
func (a *Authority) Issuer() string { return a.issuer }

// JWKS returns the public keys that tokens are verified with: the one that signs
// next, when it is known, the one that signs, and those whose tokens live yet.
func (a *Authority) JWKS(ctx context.Context) (jose.JSONWebKeySet, error) {
	set, err := a.keys.get(ctx, keysAtMost)
	if err != nil {
		return jose.JSONWebKeySet{}, err
	}
	out := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, k := range set.signers {
		out.Keys = append(out.Keys, jose.JSONWebKey{Key: k.key.Public(), KeyID: k.id, Algorithm: string(jose.EdDSA), Use: "sig"})
	}
	return out, nil
}
