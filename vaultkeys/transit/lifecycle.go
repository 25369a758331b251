package transit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"strongroom/vaultkeys"
)

// keyType is the one kind of key that Strongroom uses: AES-256-GCM with
// random nonces of 96 bits.
const keyType = "aes256-gcm96"

// keyData is what transit tells of a key.
type keyData struct {
	Type            string                  `json:"type"`
	Derived         bool                    `json:"derived"`
	Exportable      bool                    `json:"exportable"`
	PlaintextBackup bool                    `json:"allow_plaintext_backup"`
	Latest          int                     `json:"latest_version"`
	MinDecryption   int                     `json:"min_decryption_version"`
	MinEncryption   int                     `json:"min_encryption_version"`
	MinAvailable    int                     `json:"min_available_version"`
	Versions        map[int]json.RawMessage `json:"keys"` // AES: the time of its creation, in seconds since 1970
}

// available is the lowest version that is not trimmed. transit says 0 before
// the first trim.
func (d keyData) available() int { return max(d.MinAvailable, 1) }

// unfit says why Strongroom must not use a key, or nothing.
func (d keyData) unfit() string {
	switch {
	case d.Type != keyType:
		return "its type is " + d.Type + " and must be " + keyType
	case d.Derived:
		return "it is a derived key"
	case d.Exportable || d.PlaintextBackup:
		return "its bytes can be exported from Vault"
	}
	return ""
}

// Create makes a KEK that cannot be exported. transit makes no difference
// between making a key and finding it there, so the key is looked for first;
// names are random, nobody else makes the same one meanwhile.
func (p *Provider) Create(ctx context.Context, key vaultkeys.KeyName) error {
	ctx, cancel := p.begin(ctx)
	defer cancel()
	_, err := p.readKey(ctx, p.lifecycle, key)
	if err == nil || errors.Is(err, vaultkeys.ErrUnfit) {
		return fmt.Errorf("vault: create %s: %w", key, vaultkeys.ErrKeyExists)
	}
	if !errors.Is(err, vaultkeys.ErrKeyNotFound) {
		return err
	}
	if err := p.change(ctx, "create", http.MethodPost, key, "", map[string]any{"type": keyType}); err != nil {
		return err
	}
	_, err = p.readKey(ctx, p.lifecycle, key)
	return err
}

// Rotate adds a version. It is not tried again when its answer got lost: the
// caller reads by Describe whether it happened.
func (p *Provider) Rotate(ctx context.Context, key vaultkeys.KeyName) (int, error) {
	ctx, cancel := p.begin(ctx)
	defer cancel()
	before, err := p.readKey(ctx, p.lifecycle, key)
	if err != nil {
		return 0, err
	}
	if err := p.change(ctx, "rotate", http.MethodPost, key, "/rotate", map[string]any{}); err != nil {
		return 0, err
	}
	after, err := p.readKey(ctx, p.lifecycle, key)
	if err != nil {
		return 0, err
	}
	if after.Latest <= before.Latest {
		return 0, p.nonsense("rotate", key, "it has no newer version afterwards")
	}
	return after.Latest, nil
}

// Destroy allows the key's deletion and deletes it.
func (p *Provider) Destroy(ctx context.Context, key vaultkeys.KeyName) error {
	ctx, cancel := p.begin(ctx)
	defer cancel()
	if _, err := p.readKey(ctx, p.lifecycle, key); err != nil && !errors.Is(err, vaultkeys.ErrUnfit) {
		return err
	}
	if err := p.change(ctx, "destroy", http.MethodPost, key, "/config", map[string]any{"deletion_allowed": true}); err != nil {
		return err
	}
	return p.change(ctx, "destroy", http.MethodDelete, key, "", nil)
}

// SetMinimum sets min_decryption_version and min_encryption_version, both in
// one request. It is not tried again when its answer got lost; to call it again
// is safe.
func (p *Provider) SetMinimum(ctx context.Context, key vaultkeys.KeyName, version int) error {
	ctx, cancel := p.begin(ctx)
	defer cancel()
	data, err := p.readKey(ctx, p.lifecycle, key)
	switch {
	case err != nil:
		return err
	case version > data.Latest || version < data.available():
		return fmt.Errorf("vault: set the lowest version of %s: it must be one of %d to %d: %w",
			key, data.available(), data.Latest, vaultkeys.ErrVersion)
	case data.MinDecryption == version && data.MinEncryption == version:
		return nil
	}
	err = p.change(ctx, "set the lowest version of", http.MethodPost, key, "/config", map[string]any{
		"min_decryption_version": version, "min_encryption_version": version,
	})
	if err != nil {
		return err
	}
	after, err := p.readKey(ctx, p.lifecycle, key)
	if err == nil && (after.MinDecryption != version || after.MinEncryption != version) {
		err = p.nonsense("set the lowest version", key, "it has another one afterwards")
	}
	return err
}

// Trim sets min_available_version, which destroys the versions below. It is not
// tried again when its answer got lost; to call it again is safe.
func (p *Provider) Trim(ctx context.Context, key vaultkeys.KeyName, version int) error {
	ctx, cancel := p.begin(ctx)
	defer cancel()
	data, err := p.readKey(ctx, p.lifecycle, key)
	switch {
	case err != nil:
		return err
	case version <= data.available():
		return nil
	case version > min(data.MinDecryption, data.MinEncryption):
		return fmt.Errorf("vault: trim %s: versions below %d may still unwrap or wrap: the lowest that does must be raised first: %w",
			key, version, vaultkeys.ErrVersion)
	}
	if err := p.change(ctx, "trim", http.MethodPost, key, "/trim", map[string]any{"min_available_version": version}); err != nil {
		return err
	}
	after, err := p.readKey(ctx, p.lifecycle, key)
	if err == nil && after.available() < version {
		err = p.nonsense("trim", key, "it still has older versions afterwards")
	}
	return err
}

// Describe tells the versions that transit still has. Of those below
// min_decryption_version, which it keeps apart, it does not tell the times.
func (p *Provider) Describe(ctx context.Context, key vaultkeys.KeyName) (vaultkeys.KeyInfo, error) {
	ctx, cancel := p.begin(ctx)
	defer cancel()
	data, err := p.readKey(ctx, p.lifecycle, key)
	if err != nil {
		return vaultkeys.KeyInfo{}, err
	}
	info := vaultkeys.KeyInfo{Latest: data.Latest, Minimum: max(data.MinDecryption, data.available()), Available: data.available()}
	for version := info.Available; version <= info.Latest; version++ {
		v := vaultkeys.KeyVersion{Version: version}
		var seconds int64
		switch raw, told := data.Versions[version]; {
		case !told && version >= info.Minimum:
			return vaultkeys.KeyInfo{}, p.nonsense("read", key, "a version is missing")
		case told && json.Unmarshal(raw, &seconds) != nil:
			return vaultkeys.KeyInfo{}, p.nonsense("read", key, "a version's time is malformed")
		case told:
			v.CreatedAt = time.Unix(seconds, 0).UTC()
		}
		info.Versions = append(info.Versions, v)
	}
	return info, nil
}

// readKey reads a key and refuses one that Strongroom must not use.
func (p *Provider) readKey(ctx context.Context, s *session, key vaultkeys.KeyName) (keyData, error) {
	raw, err := s.call(ctx, request{method: http.MethodGet, path: p.path("keys", key), what: "read", key: key})
	if err != nil {
		return keyData{}, err
	}
	var answer struct {
		Data keyData `json:"data"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil || answer.Data.Type == "" || answer.Data.Latest < 1 {
		return keyData{}, p.nonsense("read", key, "its answer is not the JSON that transit writes")
	}
	if why := answer.Data.unfit(); why != "" {
		return answer.Data, fmt.Errorf("vault: key %s: %s: %w", key, why, vaultkeys.ErrUnfit)
	}
	return answer.Data, nil
}

func (p *Provider) change(ctx context.Context, what, method string, key vaultkeys.KeyName, suffix string, body map[string]any) error {
	_, err := p.lifecycle.call(ctx, request{
		method: method, path: p.path("keys", key) + suffix, what: what, key: key, body: body, once: true,
	})
	return err
}
