package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"filippo.io/age"

	"strongroom/internal/secret"
)

// Unlock is what seals and unseals the file: Passphrase, KeyFile or, for
// development, Unsealed.
type Unlock interface {
	seal(plain []byte) ([]byte, error)
	open(file []byte) ([]byte, error)
}

// Unsealed leaves the file as it is: whoever reads it has every key. It is for
// development alone.
type Unsealed struct{}

func (Unsealed) seal(plain []byte) ([]byte, error) { return bytes.Clone(plain), nil }

func (Unsealed) open(file []byte) ([]byte, error) {
	if isSealed(file) {
		return nil, errors.New("it is sealed; give its passphrase or key file")
	}
	return file, nil
}

// Passphrase seals by scrypt, as age does.
type Passphrase struct{ Text secret.Text }

// workFactor is log2 of scrypt's N: about half a second on this kind of
// machine, paid once at the start and at every change of a key.
const workFactor = 16

func (p Passphrase) seal(plain []byte) ([]byte, error) {
	recipient, err := age.NewScryptRecipient(p.Text.Reveal())
	if err != nil {
		return nil, errors.New("the passphrase is empty")
	}
	recipient.SetWorkFactor(workFactor)
	return encrypt(plain, recipient)
}

func (p Passphrase) open(file []byte) ([]byte, error) {
	identity, err := age.NewScryptIdentity(p.Text.Reveal())
	if err != nil {
		return nil, errors.New("the passphrase is empty")
	}
	return decrypt(file, "the passphrase is wrong", identity)
}

// KeyFile seals to the identity in a file as `age-keygen` writes it.
type KeyFile struct{ Path string }

func (k KeyFile) seal(plain []byte) ([]byte, error) {
	identities, err := k.identities()
	if err != nil {
		return nil, err
	}
	var recipients []age.Recipient
	for _, i := range identities {
		switch identity := i.(type) {
		case *age.X25519Identity:
			recipients = append(recipients, identity.Recipient())
		case *age.HybridIdentity:
			recipients = append(recipients, identity.Recipient())
		}
	}
	if len(recipients) == 0 {
		return nil, fmt.Errorf("key file %s: it holds no identity that can be sealed to", k.Path)
	}
	return encrypt(plain, recipients...)
}

func (k KeyFile) open(file []byte) ([]byte, error) {
	identities, err := k.identities()
	if err != nil {
		return nil, err
	}
	return decrypt(file, "the key file is not the one that it was sealed to", identities...)
}

func (k KeyFile) identities() ([]age.Identity, error) {
	f, err := os.Open(k.Path)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	defer f.Close()
	identities, err := age.ParseIdentities(f)
	if err != nil {
		return nil, fmt.Errorf("key file %s: it is not an age identity file", k.Path) // the cause repeats lines
	}
	return identities, nil
}

func encrypt(plain []byte, recipients ...age.Recipient) ([]byte, error) {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, recipients...)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func decrypt(file []byte, mismatch string, identities ...age.Identity) ([]byte, error) {
	if !isSealed(file) {
		return nil, errors.New("it is not sealed, though a passphrase or key file was given")
	}
	r, err := age.Decrypt(bytes.NewReader(file), identities...)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return nil, errors.New(mismatch)
	}
	if err != nil {
		return nil, fmt.Errorf("%s, or the file is damaged", mismatch)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return nil, errors.New("the file is damaged")
	}
	return plain, nil
}

func isSealed(file []byte) bool { return bytes.HasPrefix(file, []byte("age-encryption.org/")) }
