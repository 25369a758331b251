package envelope

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"errors"
)

// xaes is XAES-256-GCM (c2sp.org/XAES-256-GCM) under one key: each message is
// sealed with AES-256-GCM under a key of its own, which AES-CMAC (NIST SP
// 800-108) derives from the first half of 24 random bytes. What it writes is
// what Tink writes after its prefix. A sweep opens and seals a million values
// with it, so it derives from an expanded key and writes into the caller's
// buffer, where Tink expands and allocates each time. It is safe for concurrent
// use.
type xaes struct {
	block cipher.Block
	// k1 is the CMAC subkey for a whole block (NIST SP 800-38B): what is
	// derived from has 16 bytes, so that AES-CMAC is one encryption.
	k1 [aes.BlockSize]byte
}

func newXAES(key []byte) (*xaes, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	x := &xaes{block: block}
	block.Encrypt(x.k1[:], x.k1[:])
	var carry byte
	for i := len(x.k1) - 1; i >= 0; i-- {
		x.k1[i], carry = x.k1[i]<<1|carry, x.k1[i]>>7
	}
	x.k1[len(x.k1)-1] ^= 0x87 & -carry
	return x, nil
}

const saltSize = nonceSize - ivSize

// cipher derives the AEAD of one message:
//
//	AES-CMAC(key, 00 01 58 00 | salt) | AES-CMAC(key, 00 02 58 00 | salt)
func (x *xaes) cipher(salt []byte) (cipher.AEAD, error) {
	derived := make([]byte, 2*aes.BlockSize)
	defer clear(derived)
	for i := range 2 {
		half := derived[i*aes.BlockSize : (i+1)*aes.BlockSize]
		half[1], half[2] = byte(i+1), 'X'
		copy(half[4:], salt[:saltSize])
		subtle.XORBytes(half, half, x.k1[:])
		x.block.Encrypt(half, half)
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// seal appends salt, IV, ciphertext and tag to dst.
func (x *xaes) seal(dst, plaintext, associated []byte) ([]byte, error) {
	start := len(dst)
	dst = append(dst, make([]byte, nonceSize)...)
	nonce := dst[start:]
	rand.Read(nonce) // never fails: crypto/rand crashes the program instead
	c, err := x.cipher(nonce)
	if err != nil {
		return nil, err
	}
	return c.Seal(dst, nonce[saltSize:], plaintext, associated), nil
}

var errShort = errors.New("envelope: too short to be sealed")

// open appends the plaintext of what seal wrote to dst.
func (x *xaes) open(dst, text, associated []byte) ([]byte, error) {
	if len(text) < nonceSize+tagSize {
		return nil, errShort
	}
	c, err := x.cipher(text)
	if err != nil {
		return nil, err
	}
	return c.Open(dst, text[saltSize:nonceSize], text[nonceSize:], associated)
}
