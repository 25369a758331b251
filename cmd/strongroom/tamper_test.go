package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"strongroom/client"
	"strongroom/internal/audit"
)

// TestADiskWriter moves values in the file of a closed store, as somebody does
// who has the disk and a bbolt tool. fsck names them; the server refuses each
// with 500 and the code integrity, audits and counts it, and serves the rest.
func TestADiskWriter(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	if out, err := exec.Command("strongroom", "demo", "--keep", "--home", home).CombinedOutput(); err != nil {
		t.Fatalf("demo: %v\n%s", err, out)
	}
	moved := meddle(t, filepath.Join(home, "data", "strongroom.db"))
	wantNamed(t, home, moved)
	s := serveHome(t, home)
	for _, id := range moved.damaged {
		s.wantRefused(t, func() error {
			_, err := s.client.GetRecord(t.Context(), tamperedIn.Of(id), client.ReadOptions{})
			return err
		})
		s.wantEntry(t, audit.Filter{Record: id})
	}
	for _, id := range moved.sound {
		if _, err := s.client.GetRecord(t.Context(), tamperedIn.Of(id), client.ReadOptions{}); err != nil {
			t.Errorf("a record that was left alone: %v", err)
		}
	}
	s.wantRefused(t, func() error { _, err := s.client.GetRole(t.Context(), "demo-support-role"); return err })
	s.wantEntry(t, audit.Filter{Event: "integrity_failure"})
	s.wantServing(t, moved)
	s.wantCounted(t, len(moved.damaged)+1)
}

// tamperedIn is the collection of the demo whose records are moved about.
var tamperedIn = client.CollectionRef{Integration: "shop-webhooks", Collection: "events"}

// moved is what was done: records that must be refused, and others.
type moved struct{ damaged, sound []string }

// meddle moves a wrapped key, a header and a sealed field from one record to
// another, and a role to another name.
func meddle(t *testing.T, path string) (m moved) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bbolt.Tx) error {
		revisions, deks, control := tx.Bucket([]byte("revisions")), tx.Bucket([]byte("deks")), tx.Bucket([]byte("control"))
		keys := largest(revisions)
		if len(keys) < 6 {
			t.Fatalf("the demo leaves %d records in a collection", len(keys))
		}
		value := func(i int) []byte { return bytes.Clone(revisions.Get(keys[i])) }
		for i, key := range keys {
			if id := string(key[16 : len(key)-9]); i < 6 && i%2 == 0 {
				m.damaged = append(m.damaged, id)
			} else {
				m.sound = append(m.sound, id)
			}
		}
		header, _ := takeApart(value(3))
		_, own := takeApart(value(2))
		_, strangers := takeApart(value(5))
		hostHeader, host := takeApart(value(4))
		host[0] = strangers[0]
		return errors.Join(
			deks.Put(keys[0], bytes.Clone(deks.Get(keys[1]))),
			revisions.Put(keys[2], putTogether(header, own)),
			revisions.Put(keys[4], putTogether(hostHeader, host)),
			control.Put([]byte("role\x00demo-support-role"), bytes.Clone(control.Get([]byte("role\x00demo-payroll-role")))),
		)
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// largest returns the keys of the collection that has the most revisions.
func largest(revisions *bbolt.Bucket) (keys [][]byte) {
	by := map[string][][]byte{}
	_ = revisions.ForEach(func(key, _ []byte) error {
		c := string(key[:16])
		by[c] = append(by[c], bytes.Clone(key))
		return nil
	})
	for _, of := range by {
		if len(of) > len(keys) {
			keys = of
		}
	}
	return keys
}

// takeApart reads a value of the revisions: a format byte, then the header and
// the sealed fields, each behind its length.
func takeApart(value []byte) (header []byte, fields [][]byte) {
	var parts [][]byte
	for rest := value[1:]; len(rest) > 0; {
		n := binary.BigEndian.Uint32(rest)
		parts = append(parts, rest[4:4+n])
		rest = rest[4+n:]
	}
	return parts[0], parts[1:]
}

func putTogether(header []byte, fields [][]byte) []byte {
	value := []byte{1}
	for _, part := range append([][]byte{header}, fields...) {
		value = binary.BigEndian.AppendUint32(value, uint32(len(part)))
		value = append(value, part...)
	}
	return value
}

// wantNamed holds fsck against what was moved.
func wantNamed(t *testing.T, home string, m moved) {
	t.Helper()
	out, err := exec.Command("strongroom", "fsck", "--dev", "--home", home, "--deep").Output()
	exit := (*exec.ExitError)(nil)
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("fsck of a damaged store ends with %v", err)
	}
	for _, want := range append(slices.Clone(m.damaged), "role/demo-support-role", "wrapped key", "field", "control") {
		if !strings.Contains(string(out), want) {
			t.Errorf("fsck does not name %s:\n%s", want, out)
		}
	}
	for _, id := range m.sound {
		if strings.Contains(string(out), id) {
			t.Errorf("fsck names %s, which was left alone:\n%s", id, out)
		}
	}
}

// served is a development server in a process of its own.
type served struct {
	home   string
	env    map[string]string
	client *client.Client
}

func serveHome(t *testing.T, home string) *served {
	t.Helper()
	env := filepath.Join(home, "dev.env")
	if err := os.Remove(env); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("strongroom", "serve", "--dev", "--home", home, "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	s := &served{home: home}
	for range 1000 {
		if s.env, _ = readEnvFile(env); s.env[client.EnvClientSecret] != "" {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	var err error
	s.client, err = client.New(client.Config{
		URL: s.env[client.EnvURL], CACertFile: s.env[client.EnvCACert], ClientID: s.env[client.EnvClientID],
		ClientSecret: client.NewSecret(s.env[client.EnvClientSecret]),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wantRefused wants the answer of a value that does not authenticate.
func (s *served) wantRefused(t *testing.T, call func() error) {
	t.Helper()
	err := call()
	var problem *client.Problem
	if !errors.As(err, &problem) || problem.Status != 500 || problem.Code != "integrity" || problem.Retryable || !errors.Is(err, client.ErrIntegrity) {
		t.Errorf("a moved value is answered with %v", err)
	}
}

// wantEntry wants an entry of the audit log with the code integrity.
func (s *served) wantEntry(t *testing.T, f audit.Filter) {
	t.Helper()
	r := audit.NewReader(filepath.Join(s.home, "audit"), f)
	defer r.Close()
	for {
		e, err := r.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			t.Errorf("the audit log has no integrity entry for %+v", f)
			return
		}
		if e.Code == "integrity" && e.Outcome == audit.Failed {
			return
		}
	}
}

// wantServing reads, lists and writes what is not damaged.
func (s *served) wantServing(t *testing.T, m moved) {
	t.Helper()
	page, err := s.client.ListRecords(t.Context(), tamperedIn, client.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range page.Items {
		headerIsBad := slices.Contains(m.damaged[:2], rec.ID) // a list of metadata opens no field
		if rec.Damaged != headerIsBad {
			t.Errorf("in a list, %s is damaged: %v", rec.ID, rec.Damaged)
		}
	}
	if _, err := s.client.PutRole(t.Context(), "new", []byte(`{"rules":[]}`), client.WriteOptions{}); err != nil {
		t.Error(err)
	}
	if err := s.client.DeleteRole(t.Context(), "demo-support-role"); err != nil {
		t.Errorf("a damaged role can't be deleted: %v", err)
	}
}

// wantCounted scrapes the metrics.
func (s *served) wantCounted(t *testing.T, problems int) {
	t.Helper()
	text := s.scrape(t)
	for name, least := range map[string]int{`strongroom_http_problems_total{code="integrity"}`: problems, "strongroom_integrity_failures_total": problems + 1} {
		got := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` ([0-9]+)$`).FindStringSubmatch(text)
		if got == nil {
			t.Errorf("there is no metric %s", name)
		} else if n, _ := strconv.Atoi(got[1]); n < least {
			t.Errorf("%s is %d, and at least %d values were met", name, n, least)
		}
	}
}

func (s *served) scrape(t *testing.T) string {
	t.Helper()
	pem, err := os.ReadFile(s.env[client.EnvCACert])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Get(s.env["STRONGROOM_OPS_URL"] + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
