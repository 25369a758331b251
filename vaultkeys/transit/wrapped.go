package transit

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"strongroom/vaultkeys"
)

// A wrapped item is what transit answered, in a form that has one spelling
// only: base64 as such has several for the same bytes, so a changed character
// could go unnoticed.
//
//	01 | u32be version of the key | 12 nonce | ciphertext | 16 tag
//
// On the wire transit writes it as vault:v<version>:<base64 of the rest>.
const (
	wrappedFormat  = 1
	wrappedPrefix  = 1 + 4
	nonceAndTag    = 12 + 16
	transitPrefix  = "vault:v"
	highestVersion = 1<<31 - 1
)

// parseCiphertext makes a wrapped item of transit's text. It reports false for
// anything that transit would not write.
func parseCiphertext(text string) ([]byte, bool) {
	rest, ok := strings.CutPrefix(text, transitPrefix)
	if !ok {
		return nil, false
	}
	number, encoded, ok := strings.Cut(rest, ":")
	version, err := strconv.ParseUint(number, 10, 32)
	if !ok || err != nil || version == 0 || version > highestVersion {
		return nil, false
	}
	sealed, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(sealed) < nonceAndTag {
		return nil, false
	}
	wrapped := make([]byte, wrappedPrefix, wrappedPrefix+len(sealed))
	wrapped[0] = wrappedFormat
	binary.BigEndian.PutUint32(wrapped[1:], uint32(version))
	return append(wrapped, sealed...), true
}

// ciphertextOf is the inverse of parseCiphertext.
func ciphertextOf(wrapped []byte) (string, bool) {
	version, ok := versionOf(wrapped)
	if !ok {
		return "", false
	}
	return transitPrefix + strconv.Itoa(version) + ":" +
		base64.StdEncoding.EncodeToString(wrapped[wrappedPrefix:]), true
}

// versionOf reads the version out of a wrapped item.
func versionOf(wrapped []byte) (int, bool) {
	if len(wrapped) < wrappedPrefix+nonceAndTag || wrapped[0] != wrappedFormat {
		return 0, false
	}
	version := binary.BigEndian.Uint32(wrapped[1:])
	return int(version), version >= 1 && version <= highestVersion
}

// VersionOf reads the version out of the layout above.
func (p *Provider) VersionOf(wrapped []byte) (int, error) {
	version, ok := versionOf(wrapped)
	if !ok {
		return 0, fmt.Errorf("vault: read the version of a wrapped item: %w", vaultkeys.ErrTampered)
	}
	return version, nil
}
