package transit

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"strongroom/vaultkeys"
)

// maxBatch is how many items go into one request: servers refuse more than
// 499 by default.
const maxBatch = 200

// batchItem is one item of a request: plaintext to encrypt, ciphertext to
// decrypt.
type batchItem struct {
	Plaintext      string `json:"plaintext,omitempty"`
	Ciphertext     string `json:"ciphertext,omitempty"`
	AssociatedData string `json:"associated_data,omitempty"`
}

// batchResult is one item of an answer. A member that is missing is nil.
type batchResult struct {
	Plaintext  *string `json:"plaintext"`
	Ciphertext *string `json:"ciphertext"`
	Error      string  `json:"error"`
}

// Wrap seals items under the newest version of the key. It looks at the key
// first: a token that may do more than it should would make a missing key by
// encrypting under it, and a key whose bytes can leave the server is ErrUnfit.
func (p *Provider) Wrap(ctx context.Context, key vaultkeys.KeyName, items []vaultkeys.Item) ([][]byte, error) {
	ctx, cancel := p.begin(ctx)
	defer cancel()
	if _, err := p.readKey(ctx, p.everyday, key); err != nil {
		return nil, err
	}
	batch := make([]batchItem, len(items))
	for i, item := range items {
		batch[i] = batchItem{
			Plaintext:      base64.StdEncoding.EncodeToString(item.Data),
			AssociatedData: base64.StdEncoding.EncodeToString(item.AssociatedData),
		}
	}
	return p.batches(ctx, "encrypt", key, batch, func(r batchResult) ([]byte, bool) {
		if r.Ciphertext == nil {
			return nil, false
		}
		return parseCiphertext(*r.Ciphertext)
	})
}

// Unwrap opens what Wrap sealed.
func (p *Provider) Unwrap(ctx context.Context, key vaultkeys.KeyName, items []vaultkeys.Item) ([][]byte, error) {
	ctx, cancel := p.begin(ctx)
	defer cancel()
	batch := make([]batchItem, len(items))
	for i, item := range items {
		text, ok := ciphertextOf(item.Data)
		if !ok {
			return nil, fmt.Errorf("vault: unwrap under %s: %w", key, vaultkeys.ErrTampered)
		}
		batch[i] = batchItem{Ciphertext: text, AssociatedData: base64.StdEncoding.EncodeToString(item.AssociatedData)}
	}
	out, err := p.batches(ctx, "decrypt", key, batch, func(r batchResult) ([]byte, bool) {
		if r.Plaintext == nil {
			return nil, false
		}
		plain, err := base64.StdEncoding.Strict().DecodeString(*r.Plaintext)
		return plain, err == nil
	})
	if errors.Is(err, vaultkeys.ErrTooOld) && p.trimmed(ctx, key, items) {
		return nil, fmt.Errorf("vault: unwrap under %s at %s: %w", key, p.config.Address, vaultkeys.ErrTrimmed)
	}
	return out, err
}

// trimmed reports whether an item is under a version that was trimmed. transit
// says of such a one just that it is too old, so the key is looked at.
func (p *Provider) trimmed(ctx context.Context, key vaultkeys.KeyName, items []vaultkeys.Item) bool {
	data, err := p.readKey(ctx, p.everyday, key)
	return err == nil && slices.ContainsFunc(items, func(item vaultkeys.Item) bool {
		version, ok := versionOf(item.Data)
		return ok && version < data.available()
	})
}

// batches sends items by maxBatch and reads each answer. Any item that fails
// fails the whole call.
func (p *Provider) batches(ctx context.Context, operation string, key vaultkeys.KeyName, items []batchItem, read func(batchResult) ([]byte, bool)) ([][]byte, error) {
	out := make([][]byte, 0, len(items))
	for chunk := range slices.Chunk(items, maxBatch) {
		results, err := p.batch(ctx, operation, key, chunk)
		if err != nil {
			return nil, err
		}
		for _, r := range results {
			value, ok := read(r)
			if !ok {
				return nil, p.nonsense(operation, key, "an item of its answer is missing or malformed")
			}
			out = append(out, value)
		}
	}
	return out, nil
}

func (p *Provider) batch(ctx context.Context, operation string, key vaultkeys.KeyName, items []batchItem) ([]batchResult, error) {
	r := request{
		method: http.MethodPost, path: p.path(operation, key), what: operation, key: key,
		body: map[string]any{"batch_input": items},
	}
	var answer struct {
		Data struct {
			Results []batchResult `json:"batch_results"`
		} `json:"data"`
	}
	raw, callErr := p.everyday.call(ctx, r)
	// A failed item makes the whole answer a 400 that still tells each item.
	parseErr := json.Unmarshal(raw, &answer)
	for _, result := range answer.Data.Results {
		if result.Error != "" {
			return nil, r.fail(p.everyday, itemError(result.Error))
		}
	}
	switch {
	case callErr != nil:
		return nil, callErr
	case parseErr != nil:
		return nil, p.nonsense(operation, key, "its answer is not the JSON that transit writes")
	case len(answer.Data.Results) != len(items):
		return nil, p.nonsense(operation, key, fmt.Sprintf("it answered %d items of %d", len(answer.Data.Results), len(items)))
	}
	return answer.Data.Results, nil
}

func (p *Provider) path(operation string, key vaultkeys.KeyName) string {
	return p.config.Mount + "/" + operation + "/" + string(key)
}

func (p *Provider) nonsense(operation string, key vaultkeys.KeyName, detail string) error {
	return fmt.Errorf("vault: %s under %s: %s at %s: %w", operation, key, detail, p.config.Address, vaultkeys.ErrUnavailable)
}
