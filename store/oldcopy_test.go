package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"strongroom/envelope"
	"strongroom/internal/ledger"
	"strongroom/internal/vaulttest"
	"strongroom/rotate"
	"strongroom/store"
	"strongroom/vaultkeys"
)

// whole is what a thief has of people of whom he can open everything.
func whole(people ...string) map[string]map[string]string {
	out := map[string]map[string]string{}
	for _, id := range people {
		out[id] = map[string]string{}
		for path, value := range fields(id) {
			out[id][path] = fmt.Sprintf("%q", value)
		}
	}
	return out
}

// matches are the values of people in the dictionary.
func matches(people ...string) (out []string) {
	for _, id := range people {
		f := fields(id)
		out = append(out, "email="+f["email"], "passport="+f["passport"])
	}
	slices.Sort(out)
	return out
}

func everybody() []string { return append(append([]string{}, victims...), keptOnes...) }

// wantAll is what a thief gets as long as the keys are there: everything that
// lies in the old file, and every right guess.
func (o *office) wantAll(when string, l *loot) {
	o.t.Helper()
	for name, err := range l.keysets {
		if err != nil {
			o.t.Errorf("%s: the keyset %s: %v", when, name, err)
		}
	}
	if d := cmp.Diff(whole(everybody()...), l.direct); d != "" {
		o.t.Errorf("%s: opened by the DEKs that lie there (-want +got):\n%s", when, d)
	}
	if d := cmp.Diff(matches(everybody()...), slices.Sorted(maps.Keys(l.matched))); d != "" {
		o.t.Errorf("%s: the values that were guessed (-want +got):\n%s", when, d)
	}
}

// wantDead is what he gets when they were destroyed: no keyset, no DEK and no
// guess. What he opens are fields of records that are kept, by their present
// DEKs, which he could as well read in the present file.
func (o *office) wantDead(when string, l *loot) {
	o.t.Helper()
	if len(l.keysets) != 2 {
		o.t.Errorf("%s: %d keysets were tried", when, len(l.keysets))
	}
	for name, err := range l.keysets {
		if !errors.Is(err, vaultkeys.ErrTrimmed) {
			o.t.Errorf("%s: the keyset %s: %v, want %v", when, name, err, vaultkeys.ErrTrimmed)
		}
	}
	if !all(l.relabelled, vaultkeys.ErrTampered) {
		o.t.Errorf("%s: the keysets as of another version: %v", when, l.relabelled)
	}
	for _, id := range everybody() {
		if len(l.deks[id]) < 4 || !all(l.deks[id], envelope.ErrUnknownKey, envelope.ErrIntegrity) {
			o.t.Errorf("%s: the DEKs of %s: %v", when, id, l.deks[id])
		}
	}
	if len(l.direct) > 0 || len(l.matched) > 0 {
		o.t.Errorf("%s: the DEKs that lie there open %v, and the guesses match %v", when, l.direct, l.matched)
	}
	if d := cmp.Diff(whole(keptOnes...), l.opened); d != "" {
		o.t.Errorf("%s: opened by the present DEKs (-want +got):\n%s", when, d)
	}
	if l.guesses == 0 {
		o.t.Errorf("%s: there was no index key to guess with", when)
	}
}

// An old copy of the data file and an old backup, in the hands of somebody who
// has every right at Vault, are told over an erasure that ends the keys: at
// first all of it is his; when the key versions are retired he can have them
// back; once they are trimmed, nothing of the erased records opens, and no guess
// at their values can be confirmed.
func TestOldCopiesOfErasedRecords(t *testing.T) {
	o := newOffice(t)
	oldFile, rawOld := o.copied()
	oldBackup := o.backup()
	old := o.haul(oldFile)
	th := newThief(t, o.vault, o.Store, acmePeople, o.acme)
	th.present = old
	o.wantAll("with the keys there", th.rob(old, dictionary()))

	o.until(o.erase(store.EraseTarget{Integration: "globex", Labels: map[string]string{"subject": "x"}}, rotate.LevelLive), erased)
	id := o.erase(store.EraseTarget{Integration: "acme", Labels: map[string]string{"subject": "x"}}, rotate.LevelKeys)
	o.until(id, awaitsBackup)
	th.present = o.haul(o.Engine)
	o.retired(th, old)

	newBackup := o.backup()
	e := o.until(id, erased)
	th.present = o.haul(o.Engine)
	o.wantCertificate(e, old)
	o.wantDead("the old file", th.rob(old, dictionary()))
	o.wantNothingLeft(th, old)
	o.restoresOld(th, oldBackup)
	o.putsBack(rawOld)
	o.restoresNew(newBackup)
}

// retired shows that a version that is only retired can be had back by whoever
// has the right to: what makes the old file dead is the trim.
func (o *office) retired(th *thief, old store.Haul) {
	o.t.Helper()
	for name, err := range th.rob(old, dictionary()).keysets {
		if !errors.Is(err, vaultkeys.ErrTooOld) {
			o.t.Errorf("retired: the keyset %s: %v, want %v", name, err, vaultkeys.ErrTooOld)
		}
	}
	key := vaultkeys.IntegrationKey(th.store, th.in)
	need(o.t, th.keys.SetMinimum(always, key, 1))
	o.wantAll("retired, and allowed again", th.rob(old, dictionary()))
	need(o.t, th.keys.SetMinimum(always, key, 2))
}

// wantCertificate holds what the certificate says against the old file and
// Vault.
func (o *office) wantCertificate(e rotate.Erasure, old store.Haul) {
	o.t.Helper()
	text, err := o.erasures.Certificate(always, o.Root(), e.ID)
	need(o.t, err)
	var keys []string
	for _, k := range o.AttestKeys() {
		keys = append(keys, k.Key)
	}
	cert, err := rotate.VerifyCertificate(text, keys)
	need(o.t, err)
	if cert.Records != uint64(len(victims)) || cert.Level != rotate.LevelKeys || !strings.HasPrefix(cert.Proof, "proven") || len(cert.Destroyed) != 1 {
		o.t.Fatalf("the certificate: %+v", cert)
	}
	id, err := envelope.KeyIDOf(old.Revisions[0].DEK)
	need(o.t, err)
	d := cert.Destroyed[0]
	if !slices.ContainsFunc(d.Keys, func(k rotate.Key) bool { return k.Purpose == envelope.PurposeWrapping && k.KeyID == id }) ||
		!slices.ContainsFunc(d.Keys, func(k rotate.Key) bool { return k.Purpose == envelope.PurposeIndex && k.Generation == 1 }) {
		o.t.Errorf("it names the keys %v; the old file is under %08x", d.Keys, id)
	}
	info := o.vault.Call(o.t, "GET", "transit/keys/"+d.KEK, nil)
	if fmt.Sprint(info["min_available_version"]) != fmt.Sprint(d.Below) || d.Below != 2 {
		o.t.Errorf("it says that the versions below %d were trimmed; Vault has those from %v", d.Below, info["min_available_version"])
	}
	_, err = o.vault.Try(o.vault.RootToken, "POST", "transit/keys/"+d.KEK+"/config", map[string]any{"min_decryption_version": 1})
	if refusal := (*vaulttest.Refusal)(nil); !errors.As(err, &refusal) {
		o.t.Errorf("a trimmed version is allowed again: %v", err)
	}
}

// wantNothingLeft looks into the present file: what is kept is there, opens and
// is found, and not a byte is of the DEKs and tokens of the erased.
func (o *office) wantNothingLeft(th *thief, old store.Haul) {
	o.t.Helper()
	l := th.rob(th.present, dictionary())
	if d := cmp.Diff(whole(keptOnes...), l.direct); d != "" {
		o.t.Errorf("opened of the present file (-want +got):\n%s", d)
	}
	if d := cmp.Diff(matches(keptOnes...), slices.Sorted(maps.Keys(l.matched))); d != "" {
		o.t.Errorf("guessed of the present file (-want +got):\n%s", d)
	}
	_, raw := o.copied()
	for _, r := range old.Revisions {
		if kept := slices.Contains(keptOnes, r.ID.Record); bytes.Contains(raw, r.Fields[0]) != kept {
			o.t.Errorf("a field of %s lies in the present file: %t", r.ID.Record, !kept)
		}
		if bytes.Contains(raw, r.DEK) {
			o.t.Errorf("an old wrapped DEK of %s lies in the present file", r.ID.Record)
		}
	}
	for _, k := range old.Keysets {
		if bytes.Contains(raw, k.Blob) {
			o.t.Errorf("the old %s keyset lies in the present file", k.Purpose)
		}
	}
}

// restoresOld restores the backup of before: it is refused, and where somebody
// takes it on himself the keys are gone all the same, and what was erased stays
// so, also where it could be opened.
func (o *office) restoresOld(th *thief, backup []byte) {
	o.t.Helper()
	d := o.Deps
	d.Engine = newMemory()
	if _, err := store.Restore(always, d, bytes.NewReader(backup), nil, store.RestoreOptions{}); !errors.Is(err, store.ErrRollback) || !strings.Contains(err.Error(), "records that were erased") {
		o.t.Errorf("the old backup: %v", err)
	}
	d.Engine = newMemory()
	_, err := store.Restore(always, d, bytes.NewReader(backup), nil, store.RestoreOptions{AcceptRollback: "to see what is in it"})
	need(o.t, err)
	o.wantDead("the old backup", th.rob(o.haul(d.Engine), dictionary()))
	o.wantNobodyBack("the old backup, restored", d)

	d = o.Deps
	d.Engine, d.Ledger = newMemory(), nil // without the ledger only the keys stand in the way
	_, err = store.Restore(always, d, bytes.NewReader(backup), nil, store.RestoreOptions{AcceptRollback: "without the ledger"})
	need(o.t, err)
	d.Ledger, err = ledger.Open(o.t.TempDir())
	need(o.t, err)
	defer d.Ledger.Close()
	d.RenewLedger = "the other one is lost"
	s := open(o.t, d)
	if _, err := s.GetRecord(always, o.Root(), store.RecordRef{CollectionRef: globexPeople, Record: "gone"}, store.ReadOptions{}); err != nil {
		o.t.Errorf("restored without the ledger, what was erased in an integration with its keys is not back (this test would find nothing): %v", err)
	}
	o.wantKeyless("restored without the ledger", s, "")
}

// putsBack opens the old data file in the place of the present one.
func (o *office) putsBack(raw []byte) {
	d := o.Deps
	d.Engine = o.engineOf(raw)
	o.wantNobodyBack("the old file, put back", d)
}

// wantNobodyBack opens a store of before the erasure, with the ledger.
func (o *office) wantNobodyBack(when string, d store.Deps) {
	o.t.Helper()
	s := open(o.t, d)
	for _, c := range []struct {
		ref  store.CollectionRef
		id   string
		want error
	}{
		{globexPeople, "gone", store.ErrNotFound},
		{globexPeople, "stays", nil},
		{acmePeople, "ada", store.ErrKeyRefused}, // without keys nobody is told who is there
		{acmePeople, "cyn", store.ErrKeyRefused},
	} {
		ref := store.RecordRef{CollectionRef: c.ref, Record: c.id}
		if _, err := s.GetRecord(always, o.Root(), ref, store.ReadOptions{}); !errors.Is(err, c.want) {
			o.t.Errorf("%s: read %s of %s: %v, want %v", when, c.id, c.ref.Integration, err, c.want)
		}
	}
	o.wantKeyless(when, s, "the versions of its key-encryption key below 2 were trimmed at ")
	h := o.haul(d.Engine)
	for _, r := range h.Revisions {
		if slices.Contains(victims, r.ID.Record) {
			o.t.Errorf("%s: %s is in the file again", when, r.ID.Record)
		}
	}
	if len(h.Revisions) != 2*len(keptOnes) {
		o.t.Errorf("%s: it holds %d revisions", when, len(h.Revisions))
	}
}

// wantKeyless asks which integrations cannot be opened.
func (o *office) wantKeyless(when string, s *store.Store, reason string) {
	o.t.Helper()
	told, err := s.Keyless(always)
	need(o.t, err)
	if len(told) != 1 || told[0].Integration != "acme" || !strings.Contains(told[0].Reason, reason) || told[0].Reason == "" {
		o.t.Errorf("%s: what cannot be opened: %+v", when, told)
	}
}

// restoresNew restores the backup that the trim waited for: whoever is kept is
// there.
func (o *office) restoresNew(backup []byte) {
	o.t.Helper()
	d := o.Deps
	d.Engine = newMemory()
	_, err := store.Restore(always, d, bytes.NewReader(backup), nil, store.RestoreOptions{AcceptRollback: "a trim has followed it"})
	need(o.t, err)
	s := open(o.t, d)
	for _, id := range everybody() {
		_, err := s.GetRecord(always, o.Root(), store.RecordRef{CollectionRef: acmePeople, Record: id}, store.ReadOptions{Fields: []string{"email"}})
		if kept := slices.Contains(keptOnes, id); kept != (err == nil) || !kept && !errors.Is(err, store.ErrNotFound) {
			o.t.Errorf("the backup of before the trim, restored: %s: %v", id, err)
		}
	}
	if told, err := s.Keyless(always); err != nil || len(told) > 0 {
		o.t.Errorf("the backup of before the trim, restored: %+v, %v", told, err)
	}
}

// The keys of an integration that is erased as a whole go with all their
// versions: an old file of it is dead, and neither it nor an old backup brings
// it back.
func TestOldCopiesOfAnErasedIntegration(t *testing.T) {
	o := newOffice(t)
	oldFile, raw := o.copied()
	backup := o.backup()
	old := o.haul(oldFile)
	th := newThief(t, o.vault, o.Store, acmePeople, o.acme)
	th.present = old
	o.wantAll("with the keys there", th.rob(old, dictionary()))

	id := o.erase(store.EraseTarget{Integration: "acme"}, rotate.LevelKeys)
	o.until(id, func(e rotate.Erasure) bool { return e.Done || strings.Contains(e.Detail, "swept") })
	_, err := o.Sweep(always)
	need(t, err)
	o.until(id, erased)
	for _, k := range old.Keysets {
		if _, err := th.open(k); !errors.Is(err, vaultkeys.ErrKeyNotFound) {
			t.Errorf("the %s keyset: %v, want %v", k.Purpose, err, vaultkeys.ErrKeyNotFound)
		}
	}

	restored := o.Deps
	restored.Engine = newMemory()
	_, err = store.Restore(always, restored, bytes.NewReader(backup), nil, store.RestoreOptions{AcceptRollback: "to see what is in it"})
	need(t, err)
	putBack := o.Deps
	putBack.Engine = o.engineOf(raw)
	for when, d := range map[string]store.Deps{"the old backup, restored": restored, "the old file, put back": putBack} {
		s := open(t, d)
		_, err := s.GetRecord(always, o.Root(), store.RecordRef{CollectionRef: acmePeople, Record: "ada"}, store.ReadOptions{})
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: a record of the integration: %v", when, err)
		}
		if _, err := s.GetRecord(always, o.Root(), store.RecordRef{CollectionRef: globexPeople, Record: "stays"}, store.ReadOptions{}); err != nil {
			t.Errorf("%s: a record of another integration: %v", when, err)
		}
		if _, err := s.GetIntegration(always, o.Root(), "acme"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: the integration is back: %v", when, err)
		}
		_, err = s.Sweep(always) // of what was deleted
		need(t, err)
		if h := o.haul(d.Engine); len(h.Keysets)+len(h.Revisions)+len(h.Tokens) > 0 {
			t.Errorf("%s: %d keysets, %d revisions and %d tokens of it are in the file", when, len(h.Keysets), len(h.Revisions), len(h.Tokens))
		}
	}
}
