package transit

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"strongroom/internal/uid"
	"strongroom/internal/vaulttest"
)

// stories of one request each, as the bearer of a policy. %K is a key of
// Strongroom's, %N a name of Strongroom's that no key has, and %F a key of
// somebody else's on the same mount.
var policyStories = []struct {
	method, path        string
	body                map[string]any
	everyday, lifecycle bool
}{
	{"POST", "transit/encrypt/%K", plaintext, true, false},
	{"POST", "transit/decrypt/%K", map[string]any{"ciphertext": "%C"}, true, false},
	{"GET", "transit/keys/%K", nil, true, true},
	{"POST", "transit/keys/%N", map[string]any{"type": keyType}, false, true},
	{"POST", "transit/keys/%K/rotate", map[string]any{}, false, true},
	{"POST", "transit/keys/%K/config", map[string]any{"min_decryption_version": 1}, false, true},
	{"POST", "transit/keys/%K/config", map[string]any{"min_decryption_version": 1, "min_encryption_version": 1}, false, true},
	{"POST", "transit/keys/%K/trim", map[string]any{"min_available_version": 1}, false, true},
	{"POST", "transit/keys/%K/config", map[string]any{"deletion_allowed": true}, false, true},
	{"DELETE", "transit/keys/%K", nil, false, true},
	{"GET", "auth/token/lookup-self", nil, true, true},
	{"POST", "auth/token/renew-self", map[string]any{}, true, true},

	{"POST", "transit/encrypt/%N", plaintext, false, false}, // it would create the key
	{"POST", "transit/encrypt/%F", plaintext, false, false},
	{"POST", "transit/decrypt/%F", map[string]any{"ciphertext": "%D"}, false, false},
	{"GET", "transit/keys/%F", nil, false, false},
	{"POST", "transit/keys/%F/rotate", map[string]any{}, false, false},
	{"POST", "transit/keys/%F/config", map[string]any{"deletion_allowed": true}, false, false},
	{"POST", "transit/keys/%F/config", map[string]any{"min_decryption_version": 1, "min_encryption_version": 1}, false, false},
	{"POST", "transit/keys/%F/trim", map[string]any{"min_available_version": 1}, false, false},
	{"DELETE", "transit/keys/%F", nil, false, false},
	{"LIST", "transit/keys", nil, false, false},
	{"POST", "transit/rewrap/%K", map[string]any{"ciphertext": "%C"}, false, false},
	{"POST", "transit/datakey/plaintext/%K", map[string]any{}, false, false},
	{"GET", "transit/export/encryption-key/%K", nil, false, false},
	{"GET", "transit/backup/%K", nil, false, false},
	{"POST", "transit/restore/%N", map[string]any{"backup": "eA=="}, false, false},
	{"POST", "transit/hmac/%K", map[string]any{"input": "eA=="}, false, false},
	{"GET", "sys/policies/acl/root", nil, false, false},
	{"GET", "sys/mounts", nil, false, false},
	{"POST", "auth/token/create", map[string]any{}, false, false},
}

var plaintext = map[string]any{"plaintext": "eA=="}

// Each story is tried on keys of its own: some of them end the key.
func TestShippedPoliciesAreExactlySufficient(t *testing.T) {
	v := newVault(t)
	everyday, _ := v.Token(t, "1h", everydayPolicy)
	lifecycle, _ := v.Token(t, "1h", lifecyclePolicy)
	for _, s := range policyStories {
		for who, token := range map[string]string{"everyday": everyday, "lifecycle": lifecycle} {
			names := v.transitKeys(t)
			allowed := s.everyday && who == "everyday" || s.lifecycle && who == "lifecycle"
			if s.method == "DELETE" {
				v.Call(t, "POST", names.in("transit/keys/%K/config"), map[string]any{"deletion_allowed": true})
				v.Call(t, "POST", names.in("transit/keys/%F/config"), map[string]any{"deletion_allowed": true})
			}
			if strings.HasSuffix(s.path, "/trim") {
				minimum := map[string]any{"min_decryption_version": 1, "min_encryption_version": 1}
				v.Call(t, "POST", names.in("transit/keys/%K/config"), minimum)
				v.Call(t, "POST", names.in("transit/keys/%F/config"), minimum)
			}
			_, err := v.Try(token, s.method, names.in(s.path), names.inBody(s.body))
			if allowed != (err == nil) {
				t.Errorf("%s %s as %s: %v, want allowed: %v", s.method, s.path, who, err, allowed)
			}
			var refusal *vaulttest.Refusal
			if !allowed && (!errors.As(err, &refusal) || refusal.Status != http.StatusForbidden) {
				t.Errorf("%s %s as %s: %v, want a 403", s.method, s.path, who, err)
			}
		}
	}
}

// Trimming needs both minimum versions first.
func TestTheLifecycleIdentityTrims(t *testing.T) {
	v := newVault(t)
	token, _ := v.Token(t, "1h", lifecyclePolicy)
	names := v.transitKeys(t)
	v.CallAs(t, token, "POST", names.in("transit/keys/%K/rotate"), map[string]any{})
	v.CallAs(t, token, "POST", names.in("transit/keys/%K/config"), map[string]any{"min_decryption_version": 2, "min_encryption_version": 2})
	v.CallAs(t, token, "POST", names.in("transit/keys/%K/trim"), map[string]any{"min_available_version": 2})
}

// names stand in for %K, %N and %F, and ciphertexts under %K and %F for %C and %D.
type names map[string]string

func (v vault) transitKeys(t testing.TB) names {
	t.Helper()
	n := names{
		"%K": "strongroom-" + uid.New().String(),
		"%N": "strongroom-" + uid.New().String(), "%F": "payments-" + uid.New().String(),
	}
	for name, ciphertext := range map[string]string{"%K": "%C", "%F": "%D"} {
		v.Call(t, "POST", "transit/keys/"+n[name], map[string]any{"type": keyType})
		n[ciphertext] = v.Call(t, "POST", "transit/encrypt/"+n[name], plaintext)["ciphertext"].(string)
	}
	t.Cleanup(func() {
		for _, name := range []string{n["%K"], n["%N"], n["%F"]} {
			_, _ = v.Try(v.RootToken, "POST", "transit/keys/"+name+"/config", map[string]any{"deletion_allowed": true})
			_, _ = v.Try(v.RootToken, "DELETE", "transit/keys/"+name, nil)
		}
	})
	return n
}

func (n names) in(text string) string {
	for i := range len(text) - 1 {
		if value, ok := n[text[i:i+2]]; ok {
			return text[:i] + value + text[i+2:]
		}
	}
	return text
}

func (n names) inBody(body map[string]any) map[string]any {
	out := map[string]any{}
	for k, value := range body {
		if text, ok := value.(string); ok {
			value = n.in(text)
		}
		out[k] = value
	}
	return out
}
