package attest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"strongroom/internal/secret"
)

type report struct {
	What  string `json:"what"`
	Count int    `json:"count"`
}

var issued = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newKey(t testing.TB, name string) Key {
	t.Helper()
	k, err := NewKey(name)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t testing.TB, k Key) []byte {
	t.Helper()
	text, err := k.Sign("rotation", issued, report{"keyset of <acme> & co", 7})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestAStatementIsVerifiedByItsKey(t *testing.T) {
	k, other := newKey(t, "strongroom-a"), newKey(t, "strongroom-a")
	text := sign(t, k)
	v, err := Open(text, []string{other.Verifier, k.Verifier, k.Verifier})
	if err != nil {
		t.Fatal(err)
	}
	var got report
	if err := json.Unmarshal(v.Document, &got); err != nil {
		t.Fatal(err)
	}
	v.Document = nil
	if diff := cmp.Diff(Verified{Kind: "rotation", IssuedAt: issued, Signer: "strongroom-a"}, v); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(report{"keyset of <acme> & co", 7}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAStatementOfAnotherKeyIsRefused(t *testing.T) {
	text := sign(t, newKey(t, "strongroom-a"))
	for name, keys := range map[string][]string{
		"another key of the name": {newKey(t, "strongroom-a").Verifier}, "another name": {newKey(t, "b").Verifier}, "none": nil,
	} {
		if _, _, err := Verify(text, keys); !errors.Is(err, ErrUnverified) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whichever byte of the text is changed, the statement is refused.
func TestAChangedStatementIsRefused(t *testing.T) {
	k := newKey(t, "strongroom-a")
	text := sign(t, k)
	for i := range text {
		changed := bytes.Clone(text)
		changed[i] ^= 1
		if _, _, err := Verify(changed, []string{k.Verifier}); err == nil {
			t.Errorf("byte %d (%q) was changed unnoticed", i, text[i])
		}
	}
}

// The last character of a signature has two bits that say nothing; a lenient
// reader of base64 takes four texts for the same.
func TestASignatureHasOneText(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	k := newKey(t, "strongroom-a")
	text := sign(t, k)
	at := bytes.LastIndexByte(text, '=') - 1
	value := strings.IndexByte(alphabet, text[at])
	for spare := range 3 {
		changed := bytes.Clone(text)
		changed[at] = alphabet[value^(spare+1)]
		if _, _, err := Verify(changed, []string{k.Verifier}); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q in place of %q: %v", changed[at], text[at], err)
		}
	}
}

func TestWhatIsNoStatementIsRefused(t *testing.T) {
	k := newKey(t, "strongroom-a")
	for _, text := range []string{"", "dear diary\n", `{"statement":1}`} {
		if _, _, err := Verify([]byte(text), []string{k.Verifier}); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, _, err := Verify(sign(t, k), []string{"no key"}); !errors.Is(err, ErrKey) {
		t.Errorf("no key: %v", err)
	}
}

func TestAKeyDoesNotPrintItsSecret(t *testing.T) {
	k := newKey(t, "strongroom-a")
	private := k.Signer.Reveal()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if out := fmt.Sprintf(verb, k); strings.Contains(out, private[len(private)-20:]) {
			t.Errorf("%s prints the private key", verb)
		}
	}
	bad := Key{Signer: secret.New(k.Verifier)}
	if _, err := bad.Sign("x", issued, 1); !errors.Is(err, ErrKey) {
		t.Errorf("a key that cannot sign: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	k := newKey(f, "strongroom-a")
	f.Add(sign(f, k))
	f.Add([]byte("a\n\n— strongroom-a AAAA\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := Open(text, []string{k.Verifier})
		if err == nil && !bytes.Contains(text, []byte(`"rotation"`)) {
			t.Errorf("a statement that was never signed was verified: %v", v)
		}
	})
}
