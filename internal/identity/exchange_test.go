package identity

import (
	"errors"
	"net/url"
	"strings"
	"testing"
)

func TestExchange(t *testing.T) {
	f := newFixture(t)
	form := func(pairs ...string) url.Values {
		v := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			v.Add(pairs[i], pairs[i+1])
		}
		return v
	}
	grant := func(pairs ...string) url.Values {
		return form(append([]string{"grant_type", "client_credentials"}, pairs...)...)
	}
	good := basicHeader("invoicing", f.dir.secret)
	cases := []struct {
		name, header string
		form         url.Values
		want         string // error code, empty for a token
	}{
		{"basic", good, grant(), ""},
		{"basic, scheme in other letters", "bAsIc" + good[5:], grant(), ""},
		{"basic with its own client_id", good, grant("client_id", "invoicing"), ""},
		{"post", "", f.post(), ""},
		{"unknown parameters are ignored", good, grant("resource", "x", "resource", "y"), ""},
		{"an empty scope asks for nothing", good, grant("scope", ""), ""},
		{"two ways at once", good, f.post(), "invalid_request"},
		{"basic with another client_id", good, grant("client_id", "other"), "invalid_client"},
		{"no client", "", grant(), "invalid_client"},
		{"no secret", "", grant("client_id", "invoicing"), "invalid_client"},
		{"wrong secret", basicHeader("invoicing", "wrong"), grant(), "invalid_client"},
		{"unknown client", basicHeader("nobody", "wrong"), grant(), "invalid_client"},
		{"not a name", basicHeader("../x", "wrong"), grant(), "invalid_client"},
		{"bearer", "Bearer x", grant(), "invalid_client"},
		{"bad base64", "Basic !!", grant(), "invalid_client"},
		{"bad escape", "Basic aW52b2ljaW5nOiV6eg==", grant(), "invalid_client"},
		{"no grant", good, form(), "invalid_request"},
		{"other grant", good, form("grant_type", "password"), "unsupported_grant_type"},
		{"scope", good, grant("scope", "read:acme-* update"), ""},
		{"not a scope", good, grant("scope", "fly"), "invalid_scope"},
		{"an assertion beside a secret", "", grant("client_id", "invoicing", "client_secret", "x", "client_assertion", "a"), "invalid_request"},
		{"an assertion beside a header", good, grant("client_assertion_type", assertionType), "invalid_request"},
		{"an assertion without its type", "", grant("client_assertion", "a.b.c"), "invalid_request"},
		{"an assertion of another type", "", grant("client_assertion", "a.b.c", "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"), "invalid_request"},
		{"an assertion that is none", "", grant("client_assertion", "a.b.c", "client_assertion_type", assertionType), "invalid_client"},
		{"an assertion as the grant and a secret", good, form("grant_type", grantJWT, "assertion", "a.b.c"), "invalid_request"},
		{"no assertion as the grant", "", form("grant_type", grantJWT), "invalid_request"},
		{"repeated", good, grant("grant_type", "client_credentials"), "invalid_request"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			token, err := f.Exchange(t.Context(), Request{Authorization: c.header, Form: c.form})
			var refusal *Refusal
			switch {
			case c.want == "" && (err != nil || token.Value.IsZero()):
				t.Errorf("no token: %v", err)
			case c.want != "" && (!errors.As(err, &refusal) || refusal.Code != c.want):
				t.Errorf("got %v, want %s", err, c.want)
			case c.want != "" && (refusal.Status() == 401) != (c.want == "invalid_client"):
				t.Errorf("status %d", refusal.Status())
			}
		})
	}
}

func TestRefusalsRepeatNothing(t *testing.T) {
	f := newFixture(t)
	const marker = "marker-7f3a"
	for _, name := range []string{"grant_type", "client_id", "client_secret", "scope", "client_assertion", "client_assertion_type"} {
		form := f.post()
		form.Set(name, marker)
		_, err := f.Exchange(t.Context(), Request{Form: form})
		if err == nil || strings.Contains(err.Error(), marker) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatIsNoNameIsNotLookedUp(t *testing.T) {
	f := newFixture(t)
	form := f.post()
	form.Set("client_id", "A Secret In The Wrong Place")
	if _, err := f.Exchange(t.Context(), Request{Form: form}); err == nil {
		t.Fatal("accepted")
	}
	if f.dir.last.Client != "" {
		t.Error("the directory, which audits, was given it")
	}
}
