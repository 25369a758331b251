package identity

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"time"

	"strongroom/internal/access"
	"strongroom/internal/secret"
	"strongroom/store"
)

// The grants (RFC 6749, section 4.4, and RFC 7523, section 2.1).
const (
	grantCredentials = "client_credentials"
	grantJWT         = "urn:ietf:params:oauth:grant-type:jwt-bearer"
)

// Request is a request to one of the OAuth endpoints.
type Request struct {
	Authorization string // the header, empty when there is none
	Form          url.Values
	TLS           *tls.ConnectionState // for the client's certificate; nil: there is none
	Proofs        []string             // the DPoP header fields
	Path          string               // escaped; for a request with proofs
	From          store.Attempt        // where it comes from; its Client and Method are filled in
}

// Token is an access token as its client gets it.
type Token struct {
	Value    secret.Text
	Lifetime time.Duration
	Scope    string // empty: all that the client's roles give
	Type     string // the scheme that it is sent under: Bearer or DPoP
}

// Refusal is an error of the token endpoint (RFC 6749, section 5.2). Its
// description is fit for the client's eyes and repeats nothing that it sent.
type Refusal struct {
	Code        string // of RFC 6749, or invalid_dpop_proof or use_dpop_nonce of RFC 9449
	Description string
}

// Error returns the code and the description.
func (r *Refusal) Error() string { return r.Code + ": " + r.Description }

// Status is 401 when the client could not be authenticated, else 400.
func (r *Refusal) Status() int {
	if r.Code == "invalid_client" {
		return http.StatusUnauthorized
	}
	return http.StatusBadRequest
}

var (
	errClient     = &Refusal{"invalid_client", "the client could not be authenticated"}
	errAssertion  = &Refusal{"invalid_grant", "the assertion was not accepted"}
	errGrant      = &Refusal{"unsupported_grant_type", "want client_credentials or " + grantJWT}
	errScope      = &Refusal{"invalid_scope", access.ErrScope.Error()}
	errTokenNonce = &Refusal{"use_dpop_nonce", ErrNonce.Error()}
	errMustBind   = &Refusal{"invalid_request", "this client's tokens must be bound: send a DPoP proof, or show its certificate, as the client is marked"}
	errOthers     = &Refusal{"unauthorized_client", "the token belongs to another client"}
)

func invalidRequest(description string) *Refusal { return &Refusal{"invalid_request", description} }

// Exchange answers a token request. What is wrong with the request is a
// *Refusal; any other error means that it could not be judged.
func (a *Authority) Exchange(ctx context.Context, q Request) (Token, error) {
	if err := q.checkForm(); err != nil {
		return Token{}, err
	}
	scope, err := access.ParseScope(q.Form.Get("scope"))
	if err != nil {
		return Token{}, errScope
	}
	switch grant := q.Form.Get("grant_type"); grant {
	case "":
		return Token{}, invalidRequest("grant_type is missing")
	case grantCredentials:
		proof, err := a.proofOf(&q)
		if err != nil {
			return Token{}, err
		}
		client, err := a.authenticateClient(ctx, q)
		if err != nil {
			return Token{}, err
		}
		return a.issue(ctx, client, &q, order{proof, scope, a.lifetime})
	case grantJWT:
		return a.exchangeVouched(ctx, q, scope)
	}
	return Token{}, errGrant
}

// known are the parameters that count; RFC 6749, section 3.2, wants others to
// be ignored.
var known = map[string]bool{
	"grant_type": true, "client_id": true, "client_secret": true, "scope": true, "token": true,
	"client_assertion": true, "client_assertion_type": true, "assertion": true,
}

func (q *Request) checkForm() error {
	for name, values := range q.Form {
		if len(values) > 1 && known[name] {
			return invalidRequest("the parameter " + name + " is repeated")
		}
	}
	return nil
}

// exchangeVouched turns a token of an outside issuer into one of ours, which
// lives no longer.
func (a *Authority) exchangeVouched(ctx context.Context, q Request, scope *access.Scope) (Token, error) {
	if q.ways() > 0 {
		return Token{}, invalidRequest("with this grant the assertion alone says who the client is")
	}
	from := q.From
	from.Method = "jwt-bearer"
	if from.Client = q.Form.Get("client_id"); from.Client != "" && !clientName.MatchString(from.Client) {
		return Token{}, errAssertion
	}
	assertion := q.Form.Get("assertion")
	if assertion == "" {
		return Token{}, invalidRequest("assertion is missing")
	}
	proof, err := a.proofOf(&q)
	if err != nil {
		return Token{}, err
	}
	var expires time.Time
	client, err := a.directory.AuthenticateVouched(ctx, from, issuerIn(assertion), func(i store.Issuer) (v store.Vouched, err error) {
		v, err = a.verifyVouched(ctx, assertion, i)
		expires = v.Expires
		return v, err
	})
	if errors.Is(err, store.ErrUnauthenticated) {
		return Token{}, errAssertion
	}
	if err != nil {
		return Token{}, err
	}
	return a.issue(ctx, client, &q, order{proof, scope, min(a.lifetime, expires.Sub(a.now()))})
}
