package envelope

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"

	"strongroom/vaultkeys"
)

// wrappingAEAD makes a KEK of the key service look like the AEAD that Tink
// writes keysets with. It keeps the key service's error, whose chain Tink
// would cut.
type wrappingAEAD struct {
	keys vaultkeys.Wrapper
	key  vaultkeys.KeyName
	err  error
}

// EncryptWithContext wraps a serialised keyset and zeroes it: Tink made the
// buffer for this call and does not look at it again.
func (w *wrappingAEAD) EncryptWithContext(ctx context.Context, plaintext, associated []byte) ([]byte, error) {
	defer clear(plaintext)
	wrapped, err := w.keys.Wrap(ctx, w.key, []vaultkeys.Item{{Data: plaintext, AssociatedData: associated}})
	if err == nil && (len(wrapped) != 1 || len(wrapped[0]) == 0) {
		err = fmt.Errorf("%w: the keyset was not answered", vaultkeys.ErrUnavailable)
	}
	if err != nil {
		w.err = err
		return nil, err
	}
	return wrapped[0], nil
}

// DecryptWithContext is not used: keysets are unwrapped in batches.
func (w *wrappingAEAD) DecryptWithContext(context.Context, []byte, []byte) ([]byte, error) {
	return nil, errors.ErrUnsupported
}

// unwrapItems unwraps a batch. A key service that says that an item does not
// authenticate has found damage on our side, so that error is an ErrIntegrity
// as well. One whose answer makes no sense is ErrUnavailable: no keyset is empty.
func unwrapItems(ctx context.Context, keys vaultkeys.Wrapper, key vaultkeys.KeyName, items []vaultkeys.Item) ([][]byte, error) {
	clear, err := keys.Unwrap(ctx, key, items)
	switch {
	case errors.Is(err, vaultkeys.ErrTampered):
		return nil, damagedKeyset(err)
	case err != nil:
		return nil, fmt.Errorf("envelope: unwrap keysets: %w", err)
	case len(clear) != len(items) || slices.ContainsFunc(clear, func(b []byte) bool { return len(b) == 0 }):
		zero(clear)
		return nil, fmt.Errorf("envelope: unwrap keysets: %w: %d keysets were asked for and not all answered",
			vaultkeys.ErrUnavailable, len(items))
	}
	return clear, nil
}

// unwrapped is an AEAD that knows one answer: the keyset that the key service
// has just unwrapped. Tink reads the keyset through it.
type unwrapped struct {
	item  vaultkeys.Item
	clear []byte
}

var errNotUnwrapped = errors.New("not the keyset that was unwrapped")

// Encrypt is not used: this side only reads.
func (unwrapped) Encrypt([]byte, []byte) ([]byte, error) { return nil, errors.ErrUnsupported }

// Decrypt returns the answer to the one question that it knows.
func (u unwrapped) Decrypt(ciphertext, associated []byte) ([]byte, error) {
	if !bytes.Equal(ciphertext, u.item.Data) || !bytes.Equal(associated, u.item.AssociatedData) {
		return nil, errNotUnwrapped
	}
	return u.clear, nil
}

// blobIO is Tink's reader and writer of an encrypted keyset, bare: without the
// protobuf around it, in which two encodings can mean the same, and without the
// keyset info, which nothing authenticates. It refuses clear keysets.
type blobIO []byte

var errClearKeyset = errors.New("a keyset is never read or written in the clear")

func (blobIO) Read() (*tinkpb.Keyset, error) { return nil, errClearKeyset }
func (*blobIO) Write(*tinkpb.Keyset) error   { return errClearKeyset }

func (b blobIO) ReadEncrypted() (*tinkpb.EncryptedKeyset, error) {
	return &tinkpb.EncryptedKeyset{EncryptedKeyset: b}, nil
}

func (b *blobIO) WriteEncrypted(ks *tinkpb.EncryptedKeyset) error {
	*b = ks.GetEncryptedKeyset()
	return nil
}
