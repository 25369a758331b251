package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Options say what a server shows and asks for. The certificate comes from two
// files or from an ACME server.
type Options struct {
	CertFile, KeyFile string
	ACME              *ACME

	MinVersion   uint16             // tls.VersionTLS13 unless tls.VersionTLS12
	ClientAuth   tls.ClientAuthType // NoClientCert, VerifyClientCertIfGiven or RequestClientCert
	ClientCAFile string             // needed by VerifyClientCertIfGiven

	Poll   time.Duration // how often the files are looked at; default 2 s
	Logger *slog.Logger  // nil: slog.Default
}

// Keeper keeps the TLS configuration of a server as its files are. A connection
// goes on under the configuration that it began with; each new one gets the
// current. It is safe for concurrent use.
type Keeper struct {
	o       Options
	acme    *manager // nil with files
	current atomic.Pointer[tls.Config]

	mu      sync.Mutex
	seen    []os.FileInfo
	leaf    *x509.Certificate
	problem string // why the files as they are now are not what is shown
}

// Open reads the files. It fails when they are not good: a server that cannot
// show a certificate must not start.
func Open(o Options) (*Keeper, error) {
	if o.Poll <= 0 {
		o.Poll = 2 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	k := &Keeper{o: o}
	if o.ACME != nil {
		var err error
		if k.acme, err = newManager(*o.ACME, o.Logger); err != nil {
			return nil, err
		}
	}
	return k, k.Reload()
}

// Config returns what a listener is given. It asks the keeper for each
// connection.
func (k *Keeper) Config() *tls.Config {
	c := base(k.o.MinVersion)
	if k.acme != nil {
		c.NextProtos = append(c.NextProtos, acmeProtocol)
	}
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return k.current.Load(), nil }
	return c
}

// Reload reads the files again now. When they are not good, the old ones stay
// and the error says why.
func (k *Keeper) Reload() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	seen := k.look()
	err := k.load()
	k.seen = seen
	if err != nil {
		err = fmt.Errorf("tlsconf: %w", err)
	}
	k.note(err)
	return err
}

// note remembers a problem and tells a new one to the log.
func (k *Keeper) note(err error) {
	before := k.problem
	k.problem = ""
	if err != nil {
		k.problem = err.Error()
	}
	switch {
	case k.problem == before:
	case err != nil:
		k.o.Logger.Error("the certificates were not taken; what was there before is still served", "error", err)
	default:
		k.o.Logger.Info("the certificates are good again")
	}
}

func (k *Keeper) load() error {
	next := base(k.o.MinVersion)
	next.ClientAuth = k.o.ClientAuth
	if err := k.clientRoots(next); err != nil {
		return err
	}
	leaf, err := k.certificate(next)
	if err != nil {
		return err
	}
	k.leaf = leaf
	k.current.Store(next)
	return nil
}

// clientRoots reads the CA of clients.
func (k *Keeper) clientRoots(into *tls.Config) (err error) {
	if k.o.ClientCAFile == "" {
		if k.o.ClientAuth == tls.VerifyClientCertIfGiven {
			return errors.New("certificates of clients cannot be checked without a CA")
		}
		return nil
	}
	text, err := os.ReadFile(k.o.ClientCAFile)
	if err == nil {
		into.ClientCAs, err = pool(text)
	}
	if err != nil {
		return fmt.Errorf("the CA of clients: %w", err)
	}
	return nil
}

// certificate reads the pair. One that has run out does not take the place of
// one that has not: it is the old file put back by mistake.
func (k *Keeper) certificate(into *tls.Config) (*x509.Certificate, error) {
	if k.acme != nil {
		into.GetCertificate = k.acme.config.GetCertificate
		into.NextProtos = append(into.NextProtos, acmeProtocol)
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(k.o.CertFile, k.o.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("the server certificate: %w", err)
	}
	if now := time.Now(); k.leaf != nil && now.Before(k.leaf.NotAfter) && !now.Before(pair.Leaf.NotAfter) {
		return nil, errors.New("the server certificate: the new one has run out")
	}
	into.Certificates = []tls.Certificate{pair}
	return pair.Leaf, nil
}

// pool reads PEM certificates and refuses a text without one.
func pool(text []byte) (*x509.CertPool, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, errors.New("there is no certificate in the file")
	}
	return roots, nil
}
