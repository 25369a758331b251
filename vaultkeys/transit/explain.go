package transit

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"unicode"

	"github.com/hashicorp/vault/api"

	"strongroom/vaultkeys"
)

// fail names the operation, the key and the server.
func (r request) fail(s *session, err error) error {
	if r.key == "" {
		return fmt.Errorf("vault: %s at %s: %w", r.what, s.config.Address, err)
	}
	return fmt.Errorf("vault: %s %s at %s: %w", r.what, r.key, s.config.Address, err)
}

// explain turns an error of vault/api into one of vaultkeys, with a sentence
// for whoever is woken by it. It repeats nothing that a server said unless
// Vault's own error format carried it, and never more of that than is short.
func (s *session) explain(ctx context.Context, err error) error {
	var answer *api.ResponseError
	if errors.As(err, &answer) {
		return s.explainAnswer(answer)
	}
	var network net.Error
	switch {
	case errors.Is(ctx.Err(), context.Canceled) || errors.Is(err, context.Canceled):
		return fmt.Errorf("the caller gave up: %w: %w", context.Canceled, vaultkeys.ErrUnavailable)
	case ctx.Err() != nil, errors.As(err, &network) && network.Timeout():
		return fmt.Errorf("no answer within the deadline (at most %v): %w", s.config.Timeout, vaultkeys.ErrUnavailable)
	case isCertificate(err):
		return fmt.Errorf("its TLS certificate is not trusted (%s): check the CA file and the address: %w", certificateFault(err), vaultkeys.ErrUnavailable)
	case isDial(err):
		return fmt.Errorf("cannot connect (%s): %w", innermost(err), vaultkeys.ErrUnavailable)
	}
	return fmt.Errorf("the connection failed (%s): %w", innermost(err), vaultkeys.ErrUnavailable)
}

// innermost returns the text of the deepest cause: those of the system and of
// net, which hold no request.
func innermost(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return short(err.Error())
		}
		err = next
	}
}

func isCertificate(err error) bool {
	var verify *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	return errors.As(err, &verify) || errors.As(err, &authority) || errors.As(err, &host)
}

func certificateFault(err error) string {
	var verify *tls.CertificateVerificationError
	if errors.As(err, &verify) {
		return short(verify.Err.Error())
	}
	return innermost(err)
}

func (s *session) explainAnswer(answer *api.ResponseError) error {
	code, text := answer.StatusCode, strings.Join(answer.Errors, "; ")
	switch {
	case code >= 500 && strings.Contains(text, "Vault is sealed"):
		return fmt.Errorf("it is sealed and must be unsealed: %w", vaultkeys.ErrUnavailable)
	case code >= 500 || code == http.StatusTooManyRequests || code == 472 || code == 473:
		return fmt.Errorf("it answered %d%s: %w", code, quoted(answer), vaultkeys.ErrUnavailable)
	case answer.RawError:
		return fmt.Errorf("it answered %d with something that is not Vault's: check the address: %w", code, vaultkeys.ErrUnavailable)
	case code == http.StatusForbidden:
		return fmt.Errorf("403 permission denied: the policy of the %s identity does not allow this on the mount %q, or its token has ended: %w",
			s.label, s.config.Mount, vaultkeys.ErrRefused)
	case code == http.StatusMethodNotAllowed, strings.Contains(text, "unsupported path"), strings.Contains(text, "no handler for route"):
		return fmt.Errorf("there is no transit engine at the mount %q: check the mount and the namespace: %w", s.config.Mount, vaultkeys.ErrRefused)
	case code == http.StatusNotFound && text == "":
		return vaultkeys.ErrKeyNotFound
	}
	if known := itemError(text); known != nil {
		return known
	}
	return fmt.Errorf("it answered %d%s: %w", code, quoted(answer), vaultkeys.ErrRefused)
}

// said lists what transit says, and what it means. The first that fits counts.
var said = []struct {
	text  string
	means error
}{
	{"message authentication failed", vaultkeys.ErrTampered},
	{"too old", fmt.Errorf("%w (min_decryption_version)", vaultkeys.ErrTooOld)},
	{"version is too new", fmt.Errorf("the key has no such version: %w", vaultkeys.ErrRefused)},
	{"no such key version", fmt.Errorf("the key has no such version any more: %w", vaultkeys.ErrRefused)},
	{"invalid ciphertext", vaultkeys.ErrTampered},
	{"key not found", vaultkeys.ErrKeyNotFound},
	{"could not delete key; not found", vaultkeys.ErrKeyNotFound},
	{"no existing key named", vaultkeys.ErrKeyNotFound},
}

// itemError explains a text of transit.
func itemError(text string) error {
	for _, s := range said {
		if strings.Contains(text, s.text) {
			return s.means
		}
	}
	return fmt.Errorf("it said %q: %w", short(text), vaultkeys.ErrRefused)
}

// quoted returns what Vault said, when it is Vault's format.
func quoted(answer *api.ResponseError) string {
	if answer.RawError || len(answer.Errors) == 0 {
		return ""
	}
	return fmt.Sprintf(" (%q)", short(answer.Errors[0]))
}

// secretLike matches runs that could be a token, a key or wrapped bytes.
var secretLike = regexp.MustCompile(`[A-Za-z0-9+/=_.-]{20,}`)

// short makes a foreign text fit for a log: one line, no long opaque runs, and
// not more than 160 bytes.
func short(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	text = secretLike.ReplaceAllString(text, "[...]")
	if len(text) > 160 {
		text = strings.ToValidUTF8(text[:160], "") + "..."
	}
	return text
}
