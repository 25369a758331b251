package api

import (
	"strings"
	"testing"
)

// Every answer says the same of caches, browsers and frames, whatever it is,
// and nothing of what serves it.
func TestHeadersOfEveryAnswer(t *testing.T) {
	f := newScripted(t)
	for name, a := range map[string]answer{
		"a record":       f.me().do("GET", someRecord, ""),
		"a field":        f.me().do("GET", someRecord+"/fields/email", ""),
		"an export":      f.me().do("GET", customers+"/records:export", ""),
		"no token":       f.as("").do("GET", someRecord, ""),
		"no route":       f.me().do("GET", "/admin", ""),
		"no method":      f.me().do("POST", "/livez", ""),
		"a token":        f.as("").do("POST", "/oauth2/token", "grant_type=client_credentials&client_id=invoicing&client_secret=right", "Content-Type", mediaForm),
		"no token there": f.as("").do("POST", "/oauth2/token", "grant_type=x", "Content-Type", mediaForm),
		"health":         f.as("").do("GET", "/livez", ""),
		"metrics":        f.as("").do("GET", "/metrics", ""),
		"the document":   f.as("").do("GET", "/openapi.json", ""),
		"a page's wish":  f.me().do("GET", someRecord, "", "Origin", "https://evil.example"),
	} {
		a.what = name
		a.header("Strict-Transport-Security", "max-age=31536000").header("Cache-Control", "no-store").
			header("X-Content-Type-Options", "nosniff").header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'").
			header("Referrer-Policy", "no-referrer").header("Cross-Origin-Resource-Policy", "same-origin").
			header("Server", "").header("X-Powered-By", "")
		for header := range a.Header {
			if strings.HasPrefix(header, "Access-Control-") {
				t.Errorf("%s: %s is sent: no page of another origin may read an answer", name, header)
			}
		}
	}
	f.server.Dev = true
	f.as("").do("GET", "/livez", "").header("Strict-Transport-Security", "")
}

// A page of another origin is never given leave: neither a preflight nor what
// needs none.
func TestOtherOriginsAreRefused(t *testing.T) {
	f := newScripted(t)
	for _, path := range []string{someRecord, "/oauth2/token", "/v1/clients/x", "/livez"} {
		a := f.as("").do("OPTIONS", path, "", "Origin", "https://evil.example", "Access-Control-Request-Method", "PUT",
			"Access-Control-Request-Headers", "authorization")
		a.refused(405, "method_not_allowed")
		if a.Header.Get("Access-Control-Allow-Origin") != "" || a.Header.Get("Allow") == "" {
			t.Errorf("%s: %v", path, a.Header)
		}
	}
}
