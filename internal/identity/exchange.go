package identity

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"strongroom/internal/secret"
	"strongroom/store"
)

// Token is an access token as its client gets it.
type Token struct {
	Value    secret.Text
	Lifetime time.Duration
}

// Refusal is an error of the token endpoint (RFC 6749, section 5.2). Its
// description is fit for the client's eyes and repeats nothing that it sent.
type Refusal struct {
	Code        string // invalid_request, invalid_client, unsupported_grant_type, invalid_scope
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
	errClient = &Refusal{"invalid_client", "the client could not be authenticated"}
	errGrant  = &Refusal{"unsupported_grant_type", "the one grant_type here is client_credentials"}
	errScope  = &Refusal{"invalid_scope", "there are no scopes: leave scope out"}
)

func invalidRequest(description string) *Refusal { return &Refusal{"invalid_request", description} }

// Exchange answers a token request: header is the Authorization header, empty
// when there is none, form the parameters of the body. The client authenticates
// by client_secret_basic or client_secret_post, by exactly one of them. The
// attempt says where the request comes from; its Client is filled in. What is
// wrong with the request is a *Refusal; any other error means that it could not
// be judged.
func (a *Authority) Exchange(ctx context.Context, header string, form url.Values, from store.Attempt) (Token, error) {
	for name, values := range form {
		if len(values) > 1 && known[name] {
			return Token{}, invalidRequest("the parameter " + name + " is repeated")
		}
	}
	name, value, err := credentials(header, form)
	if err != nil {
		return Token{}, err
	}
	if err := checkGrant(form); err != nil {
		return Token{}, err
	}
	from.Client = name
	client, err := a.directory.VerifySecret(ctx, from, value)
	if errors.Is(err, store.ErrUnauthenticated) {
		return Token{}, errClient
	}
	if err != nil {
		return Token{}, err
	}
	return a.issue(ctx, client)
}

// known are the parameters that count; RFC 6749, section 3.2, wants others to
// be ignored.
var known = map[string]bool{"grant_type": true, "client_id": true, "client_secret": true, "scope": true}

func checkGrant(form url.Values) error {
	switch grant := form.Get("grant_type"); {
	case grant == "":
		return invalidRequest("grant_type is missing")
	case grant != "client_credentials":
		return errGrant
	case form.Get("scope") != "":
		return errScope
	}
	return nil
}

// clientName is how clients are named. What is not a name is not looked up and
// reaches no log: it may be a secret in the wrong place.
var clientName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// credentials finds the client's name and secret in the header or the form.
func credentials(header string, form url.Values) (string, secret.Text, error) {
	name, value := form.Get("client_id"), form.Get("client_secret")
	if header != "" {
		if value != "" {
			return "", secret.Text{}, invalidRequest("the client authenticates in two ways at once")
		}
		basicName, basicValue, ok := basic(header)
		if !ok || name != "" && name != basicName {
			return "", secret.Text{}, errClient
		}
		name, value = basicName, basicValue
	}
	if !clientName.MatchString(name) || value == "" {
		return "", secret.Text{}, errClient
	}
	return name, secret.New(value), nil
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
