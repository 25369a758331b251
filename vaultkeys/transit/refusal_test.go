package transit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"

	"strongroom/internal/uid"
	"strongroom/vaultkeys"
)

func TestADeletedKey(t *testing.T) {
	v := newVault(t)
	p := v.open(t, v.twoRoles(t))
	key := v.newKey(t, p)
	wrapped := sealed(t, p, key)
	v.Call(t, "POST", "transit/keys/"+string(key)+"/config", map[string]any{"deletion_allowed": true})
	v.Call(t, "DELETE", "transit/keys/"+string(key), nil)
	for call, do := range calls(p, key, wrapped) {
		if call != "create" { // of another key
			err := do(t.Context())
			wantError(t, err, vaultkeys.ErrKeyNotFound, "the key-encryption key does not exist")
			wantError(t, err, vaultkeys.ErrRefused, string(key))
		}
	}
}

func TestAWrongMount(t *testing.T) {
	v := newVault(t)
	c := v.config(t)
	token := v.RootToken // to whom no policy says no before the mount is looked for
	t.Setenv("STRONGROOM_TEST_TOKEN", token)
	c.Auth, c.Mount = Auth{Method: MethodToken, TokenEnv: "STRONGROOM_TEST_TOKEN"}, "elsewhere"
	p := v.open(t, c)
	key := vaultkeys.IntegrationKey(uid.New(), uid.New())
	wrapped := []vaultkeys.Item{{Data: append([]byte{1, 0, 0, 0, 1}, make([]byte, 40)...)}}
	for _, do := range calls(p, key, wrapped) {
		err := do(t.Context())
		wantError(t, err, vaultkeys.ErrRefused, `there is no transit engine at the mount "elsewhere"`)
		if errors.Is(err, vaultkeys.ErrKeyNotFound) {
			t.Errorf("a wrong mount looks like a key that is gone: %v", err)
		}
	}
	// An identity with the shipped policies is told that it may not.
	c = v.twoRoles(t)
	c.Mount = "elsewhere"
	p = v.open(t, c)
	_, err := p.Unwrap(t.Context(), key, wrapped)
	wantError(t, err, vaultkeys.ErrRefused, `does not allow this on the mount "elsewhere"`)
}

// A mount of another name, and another engine at the mount.
func TestMountsOfOtherNames(t *testing.T) {
	v := newVault(t)
	v.MountAt(t, "sealing/keys", "transit")
	v.MountAt(t, "secrets", "kv")
	t.Setenv("STRONGROOM_TEST_TOKEN", v.RootToken)
	c := v.config(t)
	c.Auth, c.Mount = Auth{Method: MethodToken, TokenEnv: "STRONGROOM_TEST_TOKEN"}, "/sealing/keys/"
	p := v.open(t, c)
	key := vaultkeys.IntegrationKey(uid.New(), uid.New())
	must(t, p.Create(t.Context(), key))
	opens(t, p, key, sealed(t, p, key))
	must(t, p.Destroy(t.Context(), key))
	c.Mount = "secrets"
	p = v.open(t, c)
	if err := p.SelfTest(t.Context(), key); err == nil {
		t.Error("a store of secrets passes for a transit engine")
	}
}

func TestAVersionBelowTheMinimum(t *testing.T) {
	v := newVault(t)
	p := v.open(t, v.twoRoles(t))
	key := v.newKey(t, p)
	old := sealed(t, p, key)
	_, err := p.Rotate(t.Context(), key)
	must(t, err)
	fresh := sealed(t, p, key)
	config := "transit/keys/" + string(key) + "/config"
	v.Call(t, "POST", config, map[string]any{"min_decryption_version": 2})
	_, err = p.Unwrap(t.Context(), key, old)
	wantError(t, err, vaultkeys.ErrTooOld, "is too old: it is below the lowest that may unwrap (min_decryption_version)")
	if errors.Is(err, vaultkeys.ErrTampered) {
		t.Errorf("an old version looks like damage: %v", err)
	}
	_, err = p.Unwrap(t.Context(), key, append(fresh, old...))
	wantError(t, err, vaultkeys.ErrTooOld, "is too old: it is below the lowest that may unwrap (min_decryption_version)")
	opens(t, p, key, fresh)
	info, err := p.Describe(t.Context(), key)
	must(t, err)
	if info.Latest != 2 || info.Minimum != 2 || info.Available != 1 || len(info.Versions) != 2 {
		t.Errorf("the versions are told as %+v", info)
	}
	v.Call(t, "POST", config, map[string]any{"min_decryption_version": 1})
	opens(t, p, key, old)
	// Trimmed, it is gone for good.
	v.Call(t, "POST", config, map[string]any{"min_decryption_version": 2, "min_encryption_version": 2})
	v.Call(t, "POST", "transit/keys/"+string(key)+"/trim", map[string]any{"min_available_version": 2})
	_, err = p.Unwrap(t.Context(), key, old)
	wantError(t, err, vaultkeys.ErrTrimmed, "was destroyed")
	opens(t, p, key, fresh)
}

// Keys of other kinds, or whose bytes can leave the server, are not used.
func TestKeysThatAreNotFit(t *testing.T) {
	v := newVault(t)
	p := v.open(t, v.twoRoles(t))
	for says, body := range map[string]map[string]any{
		"its bytes can be exported":     {"type": keyType, "exportable": true},
		"it is a derived key":           {"type": keyType, "derived": true},
		"its type is chacha20-poly1305": {"type": "chacha20-poly1305"},
		"its type is rsa-2048":          {"type": "rsa-2048"},
		"can be exported from Vault":    {"type": keyType, "allow_plaintext_backup": true},
	} {
		key := vaultkeys.IntegrationKey(uid.New(), uid.New())
		v.Call(t, "POST", "transit/keys/"+string(key), body)
		_, err := p.Wrap(t.Context(), key, one)
		wantError(t, err, vaultkeys.ErrUnfit, says)
		wantError(t, p.SelfTest(t.Context(), key), vaultkeys.ErrUnfit, says)
		wantError(t, p.Create(t.Context(), key), vaultkeys.ErrKeyExists, "")
		must(t, p.Destroy(t.Context(), key))
	}
}

// A server that ignores associated data, as Vault did before 1.13, would let a
// keyset be moved to another integration: the self-test refuses it.
func TestAServerThatIgnoresAssociatedData(t *testing.T) {
	v := newVault(t)
	old := v.Proxy(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		body, _ := io.ReadAll(r.Body)
		var request map[string]any
		if json.Unmarshal(body, &request) == nil {
			if batch, ok := request["batch_input"].([]any); ok {
				for _, item := range batch {
					delete(item.(map[string]any), "associated_data")
				}
				body, _ = json.Marshal(request)
			}
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		next.ServeHTTP(w, r)
	})
	c := v.twoRoles(t)
	c.Address = old.Address
	p := v.open(t, c)
	key := v.newKey(t, p)
	opens(t, p, key, sealed(t, p, key)) // nothing else would tell
	wantError(t, p.SelfTest(t.Context(), key), vaultkeys.ErrUnfit, "it ignores associated data")
}

// A request that is known not to have arrived, or that changes nothing, is sent
// again.
func TestRetries(t *testing.T) {
	v := newVault(t)
	failures := 0
	proxy := v.Proxy(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if failures > 0 {
			failures--
			http.Error(w, `{"errors":["later"]}`, http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
	setup := v.open(t, v.oneToken(t))
	key := v.newKey(t, setup)
	wrapped := sealed(t, setup, key)
	c := v.oneToken(t)
	c.Address, c.Retries = proxy.Address, 2
	p := v.open(t, c)
	failures = 2
	opens(t, p, key, wrapped)
	failures = 3
	_, err := p.Unwrap(t.Context(), key, wrapped)
	wantError(t, err, vaultkeys.ErrUnavailable, `it answered 503 ("later")`)
}

// A change whose answer is lost happened once, however often the client may try.
// What may be called again is, and then finds that it is done.
func TestChangesAreNotRepeated(t *testing.T) {
	v := newVault(t)
	lose, sent := false, 0
	proxy := v.Proxy(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if !lose || r.Method == http.MethodGet {
			next.ServeHTTP(w, r)
			return
		}
		sent++
		next.ServeHTTP(discard{}, r)
		w.WriteHeader(http.StatusBadGateway)
	})
	c := v.twoRoles(t)
	c.Address, c.Retries = proxy.Address, 3
	p := v.open(t, c)
	key := v.newKey(t, p)
	old := sealed(t, p, key)
	lose = true
	_, err := p.Rotate(t.Context(), key)
	wantError(t, err, vaultkeys.ErrUnavailable, "it answered 502")
	wantLatest(t, p, key, 2)
	for i, change := range []func(context.Context, vaultkeys.KeyName, int) error{p.SetMinimum, p.Trim} {
		wantError(t, change(t.Context(), key, 2), vaultkeys.ErrUnavailable, "it answered 502")
		must(t, change(t.Context(), key, 2))
		if sent != i+2 {
			t.Errorf("%d changes were sent, want %d", sent, i+2)
		}
	}
	lose = false
	_, err = p.Unwrap(t.Context(), key, old)
	wantError(t, err, vaultkeys.ErrTrimmed, "was destroyed")
}

// discard takes an answer that nobody gets.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

// No request is larger than every server takes.
func TestBatchesAreCut(t *testing.T) {
	v := newVault(t)
	var sizes []int
	proxy := v.Proxy(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		body, _ := io.ReadAll(r.Body)
		var request struct {
			Batch []any `json:"batch_input"`
		}
		if json.Unmarshal(body, &request) == nil && len(request.Batch) > 0 {
			sizes = append(sizes, len(request.Batch))
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
	c := v.twoRoles(t)
	c.Address = proxy.Address
	p := v.open(t, c)
	key := v.newKey(t, p)
	items := make([]vaultkeys.Item, 450)
	for i := range items {
		items[i] = vaultkeys.Item{Data: []byte{byte(i)}}
	}
	_, err := p.Wrap(t.Context(), key, items)
	must(t, err)
	if len(sizes) != 3 || sizes[0] != 200 || sizes[1] != 200 || sizes[2] != 50 {
		t.Errorf("450 items went in requests of %v", sizes)
	}
}

// Names go into paths: nothing that could leave the key's is sent.
func TestKeyNamesThatAreNone(t *testing.T) {
	v := newVault(t)
	p := v.open(t, v.oneToken(t))
	for _, name := range []vaultkeys.KeyName{"../keys/x", "a/b", "a?b", ".hidden", "a b", "a%2fb", "a\nb"} {
		wrapped := []vaultkeys.Item{{Data: append([]byte{1, 0, 0, 0, 1}, make([]byte, 40)...)}}
		for call, do := range calls(p, name, wrapped) {
			if call != "create" { // of another name
				wantError(t, do(t.Context()), vaultkeys.ErrRefused, "must not be named")
			}
		}
		wantError(t, p.Create(t.Context(), name), vaultkeys.ErrRefused, "must not be named")
	}
}
