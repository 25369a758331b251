package main

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"strongroom": func() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs the scripts of testdata/script against the real main.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               func(env *testscript.Env) error { return os.MkdirAll(filepath.Join(env.WorkDir, "tmp"), 0o700) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "source": source, "save": save, "waitready": waitReady, "signal": signalLast,
		},
	})
}

// exits N COMMAND... runs a command that must end with the exit code N.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("the exit code is %d, not %d", got, want)
	}
}

// source FILE waits until a dev.env is there and sets what it exports.
func source(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	for range 500 {
		if values, err := readEnvFile(path); err == nil {
			for name, value := range values {
				ts.Setenv(name, value)
			}
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	ts.Fatalf("%s did not come", args[0])
}

// signalLast NAME sends a signal to the command that was last put in the
// background.
func signalLast(ts *testscript.TestScript, _ bool, args []string) {
	signals := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP}
	commands := ts.BackgroundCmds()
	ts.Check(commands[len(commands)-1].Process.Signal(signals[args[0]]))
}

// save NAME sets a variable to the first line of the last command's stdout.
func save(ts *testscript.TestScript, _ bool, args []string) {
	line, _, _ := strings.Cut(ts.ReadFile("stdout"), "\n")
	ts.Setenv(args[0], line)
}

// waitReady FILE waits until a log says that the server serves, and sets
// STRONGROOM_URL to where.
func waitReady(ts *testscript.TestScript, _ bool, args []string) {
	for range 500 {
		if url := loggedURL(ts.MkAbs(args[0])); url != "" {
			ts.Setenv("STRONGROOM_URL", url)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	ts.Fatalf("%s does not say that it serves", args[0])
}

func loggedURL(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if _, rest, ok := strings.Cut(lines.Text(), `"msg":"serving","url":"`); ok {
			url, _, _ := strings.Cut(rest, `"`)
			return url
		}
	}
	return ""
}
