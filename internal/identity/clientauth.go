package identity

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"

	"strongroom/internal/secret"
	"strongroom/store"
)

// assertionType says that client_assertion is a JSON Web Token (RFC 7523,
// section 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// clientName is how clients are named. What is not a name is not looked up and
// reaches no log: it may be a secret in the wrong place.
var clientName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// ways counts in how many ways a request says who its client is. A certificate
// is none of them: a connection may show one for other reasons.
func (q *Request) ways() (n int) {
	for _, given := range []string{q.Authorization, q.Form.Get("client_secret"), q.Form.Get("client_assertion") + q.Form.Get("client_assertion_type")} {
		if given != "" {
			n++
		}
	}
	return n
}

// authenticateClient finds out which client asks, by exactly one way: a secret
// in the header or the form, a signed assertion or, when there is neither, the
// certificate of the connection.
func (a *Authority) authenticateClient(ctx context.Context, q Request) (client store.VerifiedClient, err error) {
	switch {
	case q.ways() > 1:
		return client, invalidRequest("the client authenticates in two ways at once")
	case q.Form.Has("client_assertion") || q.Form.Has("client_assertion_type"):
		client, err = a.byAssertion(ctx, q)
	case q.ways() == 0 && q.TLS != nil && len(q.TLS.PeerCertificates) > 0:
		client, err = a.byCertificate(ctx, q)
	default:
		client, err = a.bySecret(ctx, q)
	}
	if errors.Is(err, store.ErrUnauthenticated) {
		return client, errClient
	}
	return client, err
}

// bySecret authenticates by client_secret_basic or client_secret_post.
func (a *Authority) bySecret(ctx context.Context, q Request) (store.VerifiedClient, error) {
	name, value := q.Form.Get("client_id"), q.Form.Get("client_secret")
	if q.Authorization != "" {
		basicName, basicValue, ok := basic(q.Authorization)
		if !ok || name != "" && name != basicName {
			return store.VerifiedClient{}, a.misnamed(q)
		}
		name, value = basicName, basicValue
	}
	if !clientName.MatchString(name) || value == "" {
		return store.VerifiedClient{}, a.misnamed(q)
	}
	from := q.From
	from.Client, from.Method = name, store.AuthSecret
	return a.directory.VerifySecret(ctx, from, secret.New(value))
}

// basic reads an Authorization header of client_secret_basic, in which name and
// secret are form-encoded before they are put together (RFC 6749, section
// 2.3.1).
func basic(header string) (name, value string, ok bool) {
	r := http.Request{Header: http.Header{"Authorization": {header}}}
	name, value, ok = r.BasicAuth()
	if !ok {
		return "", "", false
	}
	name, errName := url.QueryUnescape(name)
	value, errValue := url.QueryUnescape(value)
	return name, value, errName == nil && errValue == nil
}
