package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/rogpeppe/go-internal/testscript"

	"strongroom/internal/attest"
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
		Setup:               setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "source": source, "save": save, "waitready": waitReady, "waitlog": waitLog, "signal": signalLast,
		},
	})
}

// setup makes a folder for temporary files, which a script can look into, an age
// identity and a key of statements.
func setup(env *testscript.Env) error {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	other, err := attest.NewKey("other") // which signed nothing
	if err != nil {
		return err
	}
	env.Setenv("OTHER_KEY", other.Verifier)
	path := filepath.Join(env.WorkDir, "age.txt")
	env.Setenv("AGE_RECIPIENT", identity.Recipient().String())
	env.Setenv("AGE_IDENTITY", path)
	return errors.Join(
		os.MkdirAll(filepath.Join(env.WorkDir, "tmp"), 0o700),
		os.WriteFile(path, []byte(identity.String()+"\n"), 0o600),
	)
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

// source FILE waits until a dev.env is there whose server listens, and sets what
// it exports.
func source(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	for range 500 {
		if values, err := readEnvFile(path); err == nil && answers(values["STRONGROOM_URL"]) {
			for name, value := range values {
				ts.Setenv(name, value)
			}
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	ts.Fatalf("%s did not come", args[0])
}

// answers reports whether somebody listens at a URL: what is left of a server
// that ended does not count.
func answers(url string) bool {
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "https://"))
	if err != nil {
		return false
	}
	conn.Close()
	return true
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
	_, rest, _ := strings.Cut(await(ts, args[0], `"msg":"serving"`), `"url":"`)
	url, _, _ := strings.Cut(rest, `"`)
	ts.Setenv("STRONGROOM_URL", url)
}

// waitLog FILE TEXT waits until a log holds a text.
func waitLog(ts *testscript.TestScript, _ bool, args []string) { await(ts, args[0], args[1]) }

// await returns the first line of a file that holds a text, once there is one.
func await(ts *testscript.TestScript, name, text string) string {
	for range 500 {
		content, _ := os.ReadFile(ts.MkAbs(name))
		for line := range strings.Lines(string(content)) {
			if strings.Contains(line, text) {
				return line
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	ts.Fatalf("%s does not say %q", name, text)
	return ""
}
