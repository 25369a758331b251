package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"strongroom/client"
	"strongroom/internal/bench"
	"strongroom/store/bolt/floor"
)

// ownServer is a development server in a process of its own, for a benchmark:
// the real thing, which shares no processor time of ours by accident.
type ownServer struct {
	home      string
	temporary bool
	command   *exec.Cmd
	exited    chan error
	log       *bytes.Buffer
	bare      *exec.Cmd
	bareFile  string // where it stores
	client    client.Config
	dataFile  string
}

const startTimeout = 30 * time.Second

func startOwnServer(ctx context.Context, home string) (*ownServer, error) {
	s := &ownServer{home: home, temporary: home == "", exited: make(chan error, 1), log: new(bytes.Buffer)}
	if s.temporary {
		var err error
		if s.home, err = os.MkdirTemp("", "strongroom-bench-"); err != nil {
			return nil, err
		}
	}
	s.dataFile = filepath.Join(s.home, "data", "strongroom.db")
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

func (s *ownServer) start(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	env := filepath.Join(s.home, "dev.env")
	if err := os.Remove(env); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	s.command = exec.Command(self, "serve", "--dev", "--home", s.home, "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0")
	s.command.Env = append(os.Environ(), "STRONGROOM_LOG_LEVEL=warn")
	s.command.Stderr = s.log
	if err := s.command.Start(); err != nil {
		return err
	}
	go func() { s.exited <- s.command.Wait() }()
	return s.await(ctx, env)
}

// await waits until the server has written how to reach it.
func (s *ownServer) await(ctx context.Context, env string) error {
	timeout := time.After(startTimeout)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-s.exited:
			s.exited <- err
			return fmt.Errorf("the server did not start: %w\n%s", err, s.log)
		case <-timeout:
			return errors.New("the server did not start in time")
		case <-time.After(20 * time.Millisecond):
		}
		if values, err := readEnvFile(env); err == nil {
			s.client = client.Config{
				URL: values[client.EnvURL], CACertFile: values[client.EnvCACert],
				ClientID: values[client.EnvClientID], ClientSecret: client.NewSecret(values[client.EnvClientSecret]),
			}
			return nil
		}
	}
}

// readEnvFile reads the exports of a dev.env.
func readEnvFile(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if ok {
			values[name] = strings.ReplaceAll(strings.Trim(value, "'"), `'\''`, "'")
		}
	}
	return values, nil
}

func (s *ownServer) pid() int { return s.command.Process.Pid }

// startBare starts the floor of reads and writes, with the server's own
// certificate and beside its data.
func (s *ownServer) startBare(b bench.Bare) (address string, process int, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", 0, err
	}
	text, err := json.Marshal(b)
	if err != nil {
		return "", 0, err
	}
	dir := filepath.Join(s.home, "tls")
	s.bareFile = filepath.Join(s.home, fmt.Sprintf("bare-%d.db", os.Getpid()))
	s.bare = exec.Command(self, "bench", "serve-bare", filepath.Join(dir, "server.pem"), filepath.Join(dir, "server-key.pem"), s.bareFile)
	s.bare.Stdin = bytes.NewReader(text)
	s.bare.Stderr = os.Stderr
	out, err := s.bare.StdoutPipe()
	if err != nil {
		return "", 0, err
	}
	if err := s.bare.Start(); err != nil {
		return "", 0, err
	}
	address, err = bufio.NewReader(out).ReadString('\n')
	return strings.TrimSpace(address), s.bare.Process.Pid, err
}

// onOwnServer measures a server of its own, on a folder that is removed afterwards.
func (c *cli) onOwnServer(ctx context.Context, o bench.Options, measure func(bench.Options) error) (err error) {
	own, err := startOwnServer(ctx, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, own.stop()) }()
	o.Server, o.Process, o.DataFile = own.client, own.pid(), own.dataFile
	o.Progress = func(text string) { fmt.Fprintln(c.err, text) }
	return measure(o)
}

// stop ends the processes and removes a temporary home.
func (s *ownServer) stop() error {
	var errs []error
	if s.bare != nil {
		_ = s.bare.Process.Kill()
		_ = s.bare.Wait()
		_ = os.Remove(s.bareFile)
	}
	if s.command != nil && s.command.Process != nil {
		_ = s.command.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-s.exited:
			errs = append(errs, err)
		case <-time.After(startTimeout):
			errs = append(errs, errors.New("the server did not stop"), s.command.Process.Kill())
		}
	}
	if s.temporary {
		errs = append(errs, os.RemoveAll(s.home))
	}
	return errors.Join(errs...)
}

// serveBare is the process of startBare: what to serve comes by stdin, the
// address goes to stdout. It collects garbage as a real server does, no more
// often.
func (c *cli) serveBare(certFile, keyFile, dataFile string) error {
	spareCollector()
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return err
	}
	var b bench.Bare
	if err := json.NewDecoder(c.in).Decode(&b); err != nil {
		return err
	}
	store, err := floor.Open(dataFile)
	if err != nil {
		return err
	}
	defer store.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(c.out, l.Addr())
	return b.Serve(l, pair, store)
}
