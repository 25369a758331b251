package envelope

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/uid"
)

func fixedUID(first byte) uid.UID {
	var u uid.UID
	for i := range u {
		u[i] = first + byte(i)
	}
	return u
}

// What is associated with a ciphertext can never change again: these are the
// bytes themselves.
func TestAssociatedDataIsWhatItAlwaysWas(t *testing.T) {
	id := Identity{fixedUID(0x10), fixedUID(0x20), fixedUID(0x30), "rec_1", 258}
	identity := "00000010" + "101112131415161718191a1b1c1d1e1f" +
		"00000010" + "202122232425262728292a2b2c2d2e2f" +
		"00000010" + "303132333435363738393a3b3c3d3e3f" +
		"00000005" + hex.EncodeToString([]byte("rec_1")) +
		"00000008" + "0000000000000102"
	// SHA-256("abc") is the first example of FIPS 180-4's test vectors.
	const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"keyset", appendKeyset(nil, id.Store, id.Integration, PurposeIndex, 3),
			hexOf("strongroom/keyset") + "00" + "04" + identity[:80] + "00000001" + "02" + "00000004" + "00000003"},
		{"wrapped DEK", appendDEK(nil, id, []byte("abc")),
			hexOf("strongroom/dek") + "00" + "06" + identity + "00000020" + abc},
		{"field", appendPart(appendIdentity(nil, tagField, id), "a/b"),
			hexOf("strongroom/field") + "00" + "06" + identity + "00000003" + hexOf("a/b")},
		{"control value", appendControl(nil, id.Store, "role", "r", 1),
			hexOf("strongroom/control") + "00" + "04" + identity[:40] + "00000004" + hexOf("role") +
				"00000001" + hexOf("r") + "00000008" + "0000000000000001"},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func hexOf(s string) string { return hex.EncodeToString([]byte(s)) }

// decodeParts is the inverse of the encoding. That there is one, and that it
// gives back every list of parts, is what injective means.
func decodeParts(b []byte) (tag string, parts []string, ok bool) {
	head, rest, found := bytes.Cut(b, []byte{0})
	if !found || len(rest) == 0 {
		return "", nil, false
	}
	count, rest := int(rest[0]), rest[1:]
	for range count {
		if len(rest) < 4 || uint32(len(rest)-4) < binary.BigEndian.Uint32(rest) {
			return "", nil, false
		}
		n := binary.BigEndian.Uint32(rest)
		parts = append(parts, string(rest[4:4+n]))
		rest = rest[4+n:]
	}
	return string(head), parts, len(rest) == 0
}

func TestTheEncodingIsInjective(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tag := rapid.SampledFrom([]string{tagKeyset, tagDEK, tagField, tagControl, tagIndex, tagMAC, tagPseudonym}).Draw(t, "tag")
		parts := rapid.SliceOfN(rapid.StringOf(rapid.SampledFrom([]rune{0, 1, 5, 'a', 's'})), 0, 6).Draw(t, "parts")
		b := appendTag(nil, tag, len(parts))
		for _, p := range parts {
			b = appendPart(b, p)
		}
		gotTag, gotParts, ok := decodeParts(b)
		if !ok || gotTag != tag || !slices.Equal(gotParts, parts) {
			t.Fatalf("decoded %q %q, want %q %q", gotTag, gotParts, tag, parts)
		}
	})
}

func TestTagsAreDistinctAndHoldNoZero(t *testing.T) {
	tags := []string{tagKeyset, tagDEK, tagField, tagControl, tagIndex, tagMAC, tagPseudonym}
	seen := map[string]bool{}
	for _, tag := range tags {
		if seen[tag] || bytes.IndexByte([]byte(tag), 0) >= 0 {
			t.Errorf("tag %q is there twice or holds a zero byte", tag)
		}
		seen[tag] = true
	}
}
