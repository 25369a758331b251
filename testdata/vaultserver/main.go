// Command vaultserver is a real Vault server for Strongroom's tests, made of
// Vault's own packages: the transit engine, four ways to log in, file storage
// and one unseal share. It is a module of its own so that nothing of it, nor of
// what it needs, is linked into Strongroom or stands in its go.mod.
//
//	vaultserver -dir DIR [-listen 127.0.0.1:0] [-tls-listen ADDRESS -cert FILE -key FILE]
//
// A new DIR is initialised; one that was used before is unsealed again with its
// keys. Then one line of JSON says where it is:
//
//	{"address": URL, "tls_address": URL, "root_token": TEXT, "unseal_share": HEX}
package main

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"

	hclog "github.com/hashicorp/go-hclog"
	kubernetes "github.com/hashicorp/vault-plugin-auth-kubernetes"
	"github.com/hashicorp/vault/builtin/credential/approle"
	"github.com/hashicorp/vault/builtin/credential/cert"
	"github.com/hashicorp/vault/builtin/logical/transit"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/file"
	"github.com/hashicorp/vault/vault"
)

// state is what the server prints, and what DIR/state.json keeps of it so that
// the next start can unseal.
type state struct {
	Address     string `json:"address"`
	TLSAddress  string `json:"tls_address,omitempty"`
	RootToken   string `json:"root_token"`
	UnsealShare string `json:"unseal_share"`
}

func main() {
	dir := flag.String("dir", "", "folder of the storage")
	temporary := flag.Bool("temporary", false, "remove the folder when standard input ends")
	listen := flag.String("listen", "127.0.0.1:0", "loopback address of the plain listener")
	tlsListen := flag.String("tls-listen", "", "loopback address of the TLS listener; empty for none")
	certFile := flag.String("cert", "", "certificate of the TLS listener")
	keyFile := flag.String("key", "", "its private key")
	flag.Parse()

	core, err := newCore(*dir)
	check(err)
	st, err := unseal(core, filepath.Join(*dir, "state.json"))
	check(err)
	handler := vaulthttp.Handler.Handler(&vault.HandlerProperties{Core: core})
	plain, err := net.Listen("tcp", *listen)
	check(err)
	st.Address = "http://" + plain.Addr().String()
	if *tlsListen != "" {
		st.TLSAddress, err = serveTLS(*tlsListen, *certFile, *keyFile, handler)
		check(err)
	}
	check(json.NewEncoder(os.Stdout).Encode(st))
	check(http.Serve(plain, handler))
}

func check(err error) {
	if err != nil {
		log.Fatalf("vaultserver: %v", err)
	}
}

func newCore(dir string) (*vault.Core, error) {
	logger := hclog.New(&hclog.LoggerOptions{Level: hclog.Error, Output: os.Stderr})
	storage, err := file.NewFileBackend(map[string]string{"path": filepath.Join(dir, "storage")}, logger)
	if err != nil {
		return nil, err
	}
	return vault.NewCore(&vault.CoreConfig{
		Physical: storage, Logger: logger, DisableMlock: true, BuiltinRegistry: noPlugins{},
		LogicalBackends: map[string]logical.Factory{
			"transit": transit.Factory,
			"kv":      vault.PassthroughBackendFactory,
		},
		CredentialBackends: map[string]logical.Factory{
			"approle": approle.Factory, "cert": cert.Factory, "kubernetes": kubernetes.Factory,
		},
	})
}

// unseal initialises the core, or reads how it was, and unseals it.
func unseal(core *vault.Core, path string) (*state, error) {
	var st state
	raw, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if st, err = initialise(core, path); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	default:
		if err := json.Unmarshal(raw, &st); err != nil {
			return nil, err
		}
	}
	share, err := hex.DecodeString(st.UnsealShare)
	if err != nil {
		return nil, err
	}
	if open, err := core.Unseal(share); err != nil || !open {
		return nil, fmt.Errorf("unseal: %v, %w", open, err)
	}
	return &st, nil
}

func initialise(core *vault.Core, path string) (state, error) {
	one := &vault.SealConfig{SecretShares: 1, SecretThreshold: 1}
	made, err := core.Initialize(context.Background(), &vault.InitParams{BarrierConfig: one})
	if err != nil {
		return state{}, err
	}
	st := state{RootToken: made.RootToken, UnsealShare: hex.EncodeToString(made.SecretShares[0])}
	raw, err := json.Marshal(st)
	if err != nil {
		return state{}, err
	}
	return st, os.WriteFile(path, raw, 0o600)
}

// serveTLS asks clients for a certificate, which the cert login then judges.
func serveTLS(address, certFile, keyFile string, h http.Handler) (string, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, TLSConfig: &tls.Config{ClientAuth: tls.RequestClientCert}}
	go func() { check(server.ServeTLS(l, certFile, keyFile)) }()
	return "https://" + l.Addr().String(), nil
}
