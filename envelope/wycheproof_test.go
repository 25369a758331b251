package envelope

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"slices"
	"testing"

	"github.com/c2sp/wycheproof"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/prf/hmacprf"
	"github.com/tink-crypto/tink-go/v2/secretdata"
)

// hexBytes is bytes that JSON shows in hexadecimal.
type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// vectors is the part of a Wycheproof file that both tests read.
type vectors struct {
	TestGroups []struct {
		KeySize, IVSize, TagSize int
		Tests                    []vector
	}
}

type vector struct {
	TCID                       int
	Key, IV, AAD, Msg, CT, Tag hexBytes
	Comment, Result            string
}

func readVectors(t *testing.T, name string) vectors {
	t.Helper()
	raw, err := fs.ReadFile(wycheproof.TestVectors, name)
	must(t, err)
	var v vectors
	must(t, json.Unmarshal(raw, &v))
	return v
}

// The field AEAD against the vectors of its own sizes: every valid one opens,
// in the layout of a sealed field, and no other does.
func TestWycheproofAESGCM(t *testing.T) {
	valid, invalid := 0, 0
	for _, g := range readVectors(t, "aes_gcm_test.json").TestGroups {
		if g.KeySize != 8*dekSize || g.IVSize != 8*ivSize || g.TagSize != 8*tagSize {
			continue
		}
		for _, v := range g.Tests {
			cipher, err := newCipher(v.Key)
			must(t, err)
			text, err := decodeField(encode(slices.Concat(v.IV, v.CT, v.Tag)), "p")
			must(t, err)
			got, err := cipher.Open(nil, nil, text, v.AAD)
			if v.Result == "valid" {
				valid++
				if err != nil || !bytes.Equal(got, v.Msg) {
					t.Errorf("%d (%s): %x, %v", v.TCID, v.Comment, got, err)
				}
				continue
			}
			invalid++
			if err == nil {
				t.Errorf("%d (%s) opened", v.TCID, v.Comment)
			}
		}
	}
	if valid < 30 || invalid < 20 {
		t.Errorf("%d valid and %d invalid vectors fitted: the file is not what it was", valid, invalid)
	}
}

func TestWycheproofHMACSHA256(t *testing.T) {
	valid, invalid := 0, 0
	for _, g := range readVectors(t, "hmac_sha256_test.json").TestGroups {
		if g.KeySize != 8*dekSize {
			continue
		}
		for _, v := range g.Tests {
			equal := bytes.Equal(compute(macKeyOf(t, v.Key).prf, v.Msg, g.TagSize/8), v.Tag)
			if equal != (v.Result == "valid") {
				t.Errorf("%d (%s): equal %t, want %s", v.TCID, v.Comment, equal, v.Result)
			}
			if equal {
				valid++
			} else {
				invalid++
			}
		}
	}
	if valid < 20 || invalid < 20 {
		t.Errorf("%d valid and %d invalid vectors fitted: the file is not what it was", valid, invalid)
	}
}

func macKeyOf(t *testing.T, secret []byte) *macKeys {
	t.Helper()
	p, err := hmacprf.NewParameters(len(secret), hmacprf.SHA256)
	must(t, err)
	k, err := hmacprf.NewKey(secretdata.NewBytesFromData(secret, insecuresecretdataaccess.Token{}), p)
	must(t, err)
	m := keyset.NewManager()
	id, err := m.AddKey(k)
	must(t, err)
	must(t, m.SetPrimary(id))
	h, err := m.Handle()
	must(t, err)
	mac, err := newMACKeys([]generation{{purpose: PurposeIndex, number: 1, handle: h}})
	must(t, err)
	return mac
}
