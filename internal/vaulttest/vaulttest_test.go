package vaulttest

import (
	"encoding/base64"
	"errors"
	"net/http"
	"os"
	"testing"
)

// The long run begins with this test, which builds the server.
func TestTheServerKeepsItsKeysOverACrash(t *testing.T) {
	s := New(t)
	before := *s
	s.Mount(t, "transit")
	s.Call(t, http.MethodPost, "transit/keys/k", map[string]any{})
	text := s.Call(t, http.MethodPost, "transit/encrypt/k", map[string]any{"plaintext": base64.StdEncoding.EncodeToString([]byte("kept"))})
	s.Kill(t)
	if _, err := s.Try(s.RootToken, http.MethodGet, "transit/keys/k", nil); err == nil {
		t.Error("a killed server answers")
	}
	s.Restart(t)
	if s.Address != before.Address || s.TLSAddress != before.TLSAddress || s.CAPEM != before.CAPEM || s.RootToken != before.RootToken {
		t.Error("a restarted server is not the same: its addresses, certificate or token changed")
	}
	plain := s.Call(t, http.MethodPost, "transit/decrypt/k", map[string]any{"ciphertext": text["ciphertext"]})
	if got, _ := base64.StdEncoding.DecodeString(plain["plaintext"].(string)); string(got) != "kept" {
		t.Error("a restarted server does not open what it sealed before")
	}
}

func TestTheServerIsReachedOverTLS(t *testing.T) {
	s := *New(t)
	s.Address = s.TLSAddress
	s.Call(t, http.MethodGet, "sys/mounts", nil)
}

// KV version 2 with check-and-set, on which nobody overwrites what he has not
// read.
func TestTheServerHasVersionedKV(t *testing.T) {
	s := New(t)
	s.Call(t, http.MethodPost, "sys/mounts/anchors", map[string]any{"type": "kv", "options": map[string]any{"version": "2"}})
	s.Call(t, http.MethodPost, "anchors/config", map[string]any{"cas_required": true})
	put := func(cas int) error {
		_, err := s.Try(s.RootToken, http.MethodPost, "anchors/data/a", map[string]any{
			"options": map[string]any{"cas": cas}, "data": map[string]any{"size": "1"}})
		return err
	}
	if err := put(0); err != nil {
		t.Error(err)
	}
	var refusal *Refusal
	if err := put(0); !errors.As(err, &refusal) || refusal.Status != http.StatusBadRequest {
		t.Errorf("a stale check-and-set: %v", err)
	}
}

// A test that ends, in whatever way, closes the pipe: nothing of the server
// stays behind.
func TestTheServerEndsWithWhoeverStartedIt(t *testing.T) {
	s := &Server{program: binary(t), dir: t.TempDir(), temporary: true}
	s.start(t)
	if err := s.input.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.process.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its folder is still there: %v", err)
	}
}

func TestASealedServerIsUnsealed(t *testing.T) {
	s := New(t)
	s.Mount(t, "transit")
	s.Seal(t)
	var refusal *Refusal
	if _, err := s.Try(s.RootToken, http.MethodGet, "transit/keys/k", nil); !errors.As(err, &refusal) || refusal.Status != http.StatusServiceUnavailable {
		t.Errorf("a sealed server: %v", err)
	}
	s.Unseal(t)
	s.Call(t, http.MethodPost, "transit/keys/k", map[string]any{})
}
