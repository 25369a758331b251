// Package vaulttest gives tests a real Vault server: a process of its own, on
// loopback ports, over a folder of files, so that one that is killed and
// started again has its keys. No part of the server is linked into the tests.
//
// Shared uses the server that VAULT_ADDR and VAULT_TOKEN name, when they do;
// VAULT_CACERT names the PEM file of what it is trusted by. The server's program
// is built when STRONGROOM_VAULT=build or CI=true is set; where it was never
// built, tests that want it are skipped and say how.
package vaulttest

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Server is a Vault server. TLSAddress and UnsealKey are empty where it is not
// ours.
type Server struct {
	Address    string `json:"address"`
	TLSAddress string `json:"tls_address"`
	CAPEM      string `json:"ca_pem"` // of TLSAddress, or of an Address that is https
	RootToken  string `json:"root_token"`
	UnsealKey  string `json:"unseal_key"`

	program, dir string
	temporary    bool
	process      *exec.Cmd
	input        io.Closer // the process ends when it is closed
}

var shared struct {
	sync.Mutex
	server *Server
}

// Shared returns the one server of the test's package, which ends with the
// test's process. Tests leave it running and unsealed.
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		shared.server = foreign(t)
	}
	if shared.server == nil {
		program := binary(t)
		dir, err := os.MkdirTemp("", "strongroom-vault-")
		if err != nil {
			t.Fatalf("vaulttest: %v", err)
		}
		s := &Server{program: program, dir: dir, temporary: true}
		s.start(t)
		shared.server = s
	}
	return shared.server
}

// foreign returns the server that the environment names, if it does.
func foreign(t testing.TB) *Server {
	t.Helper()
	address, token := os.Getenv("VAULT_ADDR"), os.Getenv("VAULT_TOKEN")
	if address == "" || token == "" {
		return nil
	}
	s := &Server{Address: address, RootToken: token}
	if path := os.Getenv("VAULT_CACERT"); path != "" {
		pem, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("vaulttest: VAULT_CACERT: %v", err)
		}
		s.CAPEM = string(pem)
	}
	return s
}

// New returns a server of the test's own, for tests that seal, stop or kill
// one, or that look at its TLS. It ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{program: binary(t), dir: t.TempDir()}
	s.start(t)
	t.Cleanup(func() {
		if s.process != nil {
			_ = s.process.Process.Signal(syscall.SIGCONT)
			s.Kill(t)
		}
	})
	return s
}

// start runs the program, on the addresses that it had before, and waits until
// it is ready.
func (s *Server) start(t testing.TB) {
	t.Helper()
	args := []string{"-dir", s.dir}
	if s.temporary {
		args = append(args, "-temporary")
	}
	if s.Address != "" {
		args = append(args, "-listen", hostOf(s.Address), "-tls-listen", hostOf(s.TLSAddress))
	}
	cmd := exec.Command(s.program, args...)
	cmd.Stderr = os.Stderr
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatalf("vaulttest: %v", err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatalf("vaulttest: %v", err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("vaulttest: %v", err)
	}
	s.process, s.input = cmd, input
	if err := s.hear(output); err != nil {
		s.Kill(t)
		t.Fatalf("vaulttest: the server does not start: %v", err)
	}
}

// hear reads the line that the server prints when it is ready.
func (s *Server) hear(output io.Reader) error {
	line := make(chan []byte, 1)
	go func() {
		b, _ := bufio.NewReader(output).ReadBytes('\n')
		line <- b
	}()
	select {
	case b := <-line:
		return json.Unmarshal(b, s)
	case <-time.After(time.Minute):
		return errors.New("it said nothing for a minute")
	}
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// Stop halts the process: it accepts connections and answers nothing. When it
// returns, no thread of the process runs any more.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGSTOP)
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(s.process.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("vaulttest: the server was not halted: %v", err)
	}
}

// Continue lets a halted process go on.
func (s *Server) Continue(t testing.TB) { s.signal(t, syscall.SIGCONT) }

func (s *Server) signal(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if err := s.process.Process.Signal(signal); err != nil {
		t.Fatalf("vaulttest: %v", err)
	}
}

// Kill ends the process as a crash does. Connections to it are refused then.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	if err := s.process.Process.Kill(); err != nil {
		t.Fatalf("vaulttest: %v", err)
	}
	_ = s.process.Wait() // tells that it was killed
	_ = s.input.Close()
	s.process = nil
}

// Restart starts a killed server again, on the same addresses, with its keys
// and unsealed.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.start(t)
}
