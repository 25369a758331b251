package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	hclog "github.com/hashicorp/go-hclog"
	kubernetes "github.com/hashicorp/vault-plugin-auth-kubernetes"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/builtin/credential/approle"
	"github.com/hashicorp/vault/builtin/credential/cert"
	"github.com/hashicorp/vault/builtin/logical/transit"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/file"
	"github.com/hashicorp/vault/vault"
)

// state is what the server prints, and what DIR/state.json keeps of it so that
// the next start can unseal.
type state struct {
	Address    string `json:"address,omitempty"`
	TLSAddress string `json:"tls_address,omitempty"`
	CAPEM      string `json:"ca_pem,omitempty"`
	RootToken  string `json:"root_token"`
	UnsealKey  string `json:"unseal_key"`
}

func newCore(dir string) (*vault.Core, error) {
	logger := hclog.New(&hclog.LoggerOptions{Level: hclog.Off})
	storage, err := file.NewFileBackend(map[string]string{"path": filepath.Join(dir, "storage")}, logger)
	if err != nil {
		return nil, err
	}
	return vault.NewCore(&vault.CoreConfig{
		Physical: storage, Logger: logger, DisableMlock: true, BuiltinRegistry: noPlugins{},
		LogicalBackends: map[string]logical.Factory{"transit": transit.Factory, "kv": kv.Factory},
		CredentialBackends: map[string]logical.Factory{
			"approle": approle.Factory, "cert": cert.Factory, "kubernetes": kubernetes.Factory,
		},
	})
}

// unseal initialises the core, or reads how it was, and unseals it.
func unseal(core *vault.Core, dir string) (state, error) {
	path := filepath.Join(dir, "state.json")
	var st state
	raw, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		st, err = initialise(core, path)
	case err == nil:
		err = json.Unmarshal(raw, &st)
	}
	if err != nil {
		return state{}, err
	}
	share, err := hex.DecodeString(st.UnsealKey)
	if err != nil {
		return state{}, err
	}
	if open, err := core.Unseal(share); err != nil || !open {
		return state{}, fmt.Errorf("unseal: %v, %w", open, err)
	}
	return st, nil
}

func initialise(core *vault.Core, path string) (state, error) {
	one := &vault.SealConfig{SecretShares: 1, SecretThreshold: 1}
	made, err := core.Initialize(context.Background(), &vault.InitParams{BarrierConfig: one})
	if err != nil {
		return state{}, err
	}
	st := state{RootToken: made.RootToken, UnsealKey: hex.EncodeToString(made.SecretShares[0])}
	raw, err := json.Marshal(st)
	if err != nil {
		return state{}, err
	}
	return st, os.WriteFile(path, raw, 0o600)
}
