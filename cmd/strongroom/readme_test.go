package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

const repository = "../.."

// TestReadme pastes the README's walk-through into a shell, block after block
// as it stands, beside a development server, and holds what it prints against
// what the README says. In the short run a stand-in for `go run` starts this
// test's own build of the command; the long run follows the README from a fresh
// clone.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	begin := fences(string(text), "sh")
	if want := "go run ./cmd/strongroom serve --dev\ngo test ./...\n"; len(begin) != 1 || begin[0] != want {
		t.Fatalf("the README's two commands are %q", begin)
	}
	serve := strings.Fields(strings.SplitN(begin[0], "\n", 2)[0])
	dir := placeToBegin(t)
	startServer(t, dir, serve)
	walkThrough(t, dir, string(text))
}

// TestIdentityDocument pastes docs/identity.md in the same way, beside a server
// of this test's own build.
func TestIdentityDocument(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository, "docs", "identity.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	startServer(t, dir, strings.Fields("strongroom serve --dev --listen 127.0.0.1:0 --ops-listen 127.0.0.1:0"))
	walkThrough(t, dir, string(text))
}

// walkThrough gives a document's commands to a shell, and holds what they print
// against what it says.
func walkThrough(t *testing.T, dir, text string) {
	t.Helper()
	shell := exec.Command("bash", "-s")
	shell.Dir, shell.Stdin = dir, strings.NewReader(strings.Join(fences(text, "bash"), "\n"))
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("the walk-through: %v\n%s", err, out)
	}
	expectInOrder(t, string(out), fences(text, "text"))
}

// placeToBegin returns a folder in which the README's commands can be given.
func placeToBegin(t *testing.T) string {
	dir := t.TempDir()
	if os.Getenv("STRONGROOM_LONG") != "" {
		clone := exec.Command("git", "clone", "-q", repository, dir)
		if out, err := clone.CombinedOutput(); err != nil {
			t.Fatalf("git clone: %v\n%s", err, out)
		}
		return dir
	}
	shim := "#!/bin/sh\n[ \"$1 $2\" = 'run ./cmd/strongroom' ] || exit 3\nshift 2\n" +
		"[ \"$*\" = 'serve --dev' ] && set -- \"$@\" --listen 127.0.0.1:0 --ops-listen 127.0.0.1:0\n" +
		"exec strongroom \"$@\"\n"
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "go"), []byte(shim), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	return dir
}

// startServer runs a command that serves, waits until dev.env is there, and
// ends its whole process group with the test.
func startServer(t *testing.T, dir string, command []string) {
	t.Helper()
	log := new(bytes.Buffer)
	server := exec.Command(command[0], command[1:]...)
	server.Dir, server.Stdout, server.Stderr = dir, io.Discard, log
	server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-server.Process.Pid, syscall.SIGTERM)
		_ = server.Wait()
	})
	for range 3000 {
		if _, err := os.Stat(filepath.Join(dir, ".strongroom", "dev.env")); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	_ = syscall.Kill(-server.Process.Pid, syscall.SIGKILL)
	_ = server.Wait()
	t.Fatalf("%s does not serve:\n%s", strings.Join(command, " "), log)
}

// fences returns the contents of the fenced blocks of a kind.
func fences(text, kind string) (blocks []string) {
	pattern := regexp.MustCompile("(?ms)^```" + kind + "\n(.*?)^```$")
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// expectInOrder wants the lines of the blocks in the output, one after the
// other; an ellipsis stands for anything within a line.
func expectInOrder(t *testing.T, out string, blocks []string) {
	t.Helper()
	lines := strings.Split(out, "\n")
	for _, want := range strings.Split(strings.TrimSpace(strings.Join(blocks, "")), "\n") {
		pattern := strings.ReplaceAll(regexp.QuoteMeta(want), "…", ".*")
		line := regexp.MustCompile("^" + pattern + "$")
		for len(lines) > 0 && !line.MatchString(lines[0]) {
			lines = lines[1:]
		}
		if len(lines) == 0 {
			t.Fatalf("the walk-through does not print\n%s\nbut\n%s", want, out)
		}
		lines = lines[1:]
	}
}
