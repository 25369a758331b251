package tlsconf

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// The files of a development server's certificates.
const (
	caName   = "ca.pem"
	certName = "server.pem"
	keyName  = "server-key.pem"
)

const (
	devLifetime = 365 * 24 * time.Hour
	devRenew    = 30 * 24 * time.Hour // made anew when less than this is left
)

// Dev is the certificate of a development server.
type Dev struct {
	CAFile            string // what a client must trust: PEM
	CertFile, KeyFile string
	Made              bool // true when the certificates were made by this call
}

// OpenDev returns the development certificates kept in a folder and makes them
// when they are not there or about to expire. They are good for localhost and
// the loopback addresses alone: the CA is constrained to those names, and its
// key is forgotten as soon as it has signed the one certificate, so trusting it
// lets nobody pose as another site.
func OpenDev(dir string, now time.Time) (Dev, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Dev{}, fmt.Errorf("tlsconf: %w", err)
	}
	dev := Dev{CAFile: filepath.Join(dir, caName), CertFile: filepath.Join(dir, certName), KeyFile: filepath.Join(dir, keyName)}
	fresh, err := devIsFresh(dir, now)
	if err != nil {
		return Dev{}, err
	}
	if !fresh {
		if err := makeDev(dir, now); err != nil {
			return Dev{}, fmt.Errorf("tlsconf: making development certificates: %w", err)
		}
		dev.Made = true
	}
	return dev, nil
}

// devIsFresh reports whether the files are there and good for a while. Files
// that are there and cannot be read are an error: they are not ours to replace.
func devIsFresh(dir string, now time.Time) (bool, error) {
	for _, name := range []string{caName, certName, keyName} {
		if _, err := os.Stat(filepath.Join(dir, name)); errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, certName), filepath.Join(dir, keyName))
	if err != nil {
		return false, fmt.Errorf("tlsconf: the development certificate: %w", err)
	}
	return now.Add(devRenew).Before(pair.Leaf.NotAfter) && !now.Before(pair.Leaf.NotBefore), nil
}

func makeDev(dir string, now time.Time) error {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := caTemplate(now)
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, serverTemplate(now), ca, key.Public(), caKey)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		writePEM(filepath.Join(dir, keyName), "PRIVATE KEY", keyDER),
		writePEM(filepath.Join(dir, certName), "CERTIFICATE", der),
		writePEM(filepath.Join(dir, caName), "CERTIFICATE", caDER),
	)
}

// loopback is every address that a development server may listen on.
var loopback = []*net.IPNet{
	{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
	{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
}

func caTemplate(now time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Strongroom development CA"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(devLifetime),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         []string{"localhost"}, PermittedIPRanges: loopback,
	}
}

func serverTemplate(now time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Strongroom development server"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(devLifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
}

// serial returns a positive random serial number of 127 bits.
func serial() *big.Int {
	var b [16]byte
	rand.Read(b[:])
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b[:])
}

// writePEM writes a file whole or not at all, readable by its owner alone.
func writePEM(path, kind string, der []byte) error {
	temporary := path + ".new"
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(temporary, text, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
