package store_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"strongroom/internal/audit"
	"strongroom/internal/uid"
	"strongroom/store"
	"strongroom/store/kv"
)

// move is a value put where another one stood, by somebody who can write the
// disk.
type move struct {
	what  string
	table kv.Table
	key   []byte
	value []byte
	sound []byte // what stood there
}

// atlas tells what a key is about.
type atlas struct {
	integrations map[uid.UID]string // by the uid of the integration or of its collection
}

func (r *rich) atlas(t testing.TB) atlas {
	t.Helper()
	a := atlas{map[uid.UID]string{}}
	for _, name := range []string{"acme", "globex"} {
		integration, err := r.GetIntegration(always, anyone(), name)
		need(t, err)
		coll, err := r.GetCollection(always, anyone(), in(name, "customers"))
		need(t, err)
		a.integrations[integration.UID], a.integrations[coll.UID] = name, name
	}
	return a
}

// of returns the place that a key is about.
func (a atlas) of(table kv.Table, key []byte) place {
	var id uid.UID
	rest := key[copy(id[:], key):]
	p := place{integration: a.integrations[id]}
	switch table {
	case kv.Records, kv.Tokens:
		p.record = string(rest)
	case kv.Revisions, kv.DEKs:
		p.record = string(rest[:len(rest)-9])
	case kv.Control:
		kind, name, _ := bytes.Cut(key, []byte{0})
		p.integration = map[bool]string{true: string(name)}[string(kind) == "integration"]
		if string(kind) == "collection" {
			u, _, _ := strings.Cut(string(name), "/")
			parsed, _ := uid.Parse(u)
			p.integration = a.integrations[parsed]
		}
	}
	return p
}

// mayDiffer reports whether a sight may be another once the value at key is:
// everything else goes on as before.
func (a atlas) mayDiffer(m *move, s sight) bool {
	at := a.of(m.table, m.key)
	switch m.table {
	case kv.Control:
		return a.definitionMatters(m.key, at, s)
	case kv.Counters, kv.Meta, kv.Operations, kv.Expiry:
		return false
	case kv.Changes:
		return s.how == "list by change" && s.integration == at.integration
	case kv.Idempotency:
		return s.how == "repeat"
	case kv.Generations:
		return s.integration == at.integration || at.integration == "" && s.how == "repeat"
	case kv.Index, kv.Labels, kv.Keysets:
		return s.integration == at.integration
	}
	return s.place == at
}

// definitionMatters is mayDiffer of a control value: what hangs on it.
func (a atlas) definitionMatters(key []byte, at place, s sight) bool {
	kind, name, _ := strings.Cut(string(key), "\x00")
	switch kind {
	case "integration", "collection":
		return s.integration == at.integration
	case "role":
		return s.how == "role "+name || name == "reader" && (s.how == "principal" || s.how == "read by role")
	case "client":
		return s.integration == "" && !strings.HasPrefix(s.how, "role") || s.how == "read by role"
	case "secret":
		return s.how == "secret" || s.how == "principal" || s.how == "read by role"
	}
	return false
}

// moves makes every move within a table, and of what is sealed also from
// another store; and of every part of a revision.
func (r *rich) moves(t *testing.T) (all []move) {
	t.Helper()
	other := empty(t)
	other.fill(t)
	for _, table := range kv.Tables() {
		own, foreign := entries(r.engine, table), entries(other.engine, table)
		for i, to := range own {
			for _, from := range own {
				all = add(all, fmt.Sprintf("within %s", table), to, from.Value)
			}
			switch table {
			case kv.Control, kv.Keysets, kv.Revisions, kv.DEKs, kv.Tokens, kv.Idempotency:
				all = add(all, fmt.Sprintf("%s from another store", table), to, foreign[i].Value)
			}
		}
	}
	return append(all, r.partMoves(t, other)...)
}

func add(all []move, what string, to kv.Entry, value []byte) []move {
	if bytes.Equal(to.Value, value) {
		return all
	}
	return append(all, move{what, to.Table, to.Key, value, to.Value})
}

// entries returns the entries of a table.
func entries(m *memory, table kv.Table) (all []kv.Entry) {
	for _, e := range m.entries() {
		if e.Table == table {
			all = append(all, e)
		}
	}
	return all
}

// partMoves moves headers and single sealed fields between revisions: of one
// record, of two, of two integrations, of two stores.
func (r *rich) partMoves(t *testing.T, other *rich) (all []move) {
	t.Helper()
	own := entries(r.engine, kv.Revisions)
	for _, to := range own {
		header, fields := partsOf(t, to.Value)
		for i := range fields { // another field of the same revision
			swapped := append([][]byte{}, fields...)
			swapped[i] = fields[(i+1)%len(fields)]
			all = add(all, "a field in place of the next", to, assemble(header, swapped))
		}
		for _, source := range append(entries(r.engine, kv.Revisions), entries(other.engine, kv.Revisions)...) {
			h, f := partsOf(t, source.Value)
			all = add(all, "a header", to, assemble(h, fields))
			for i := range fields {
				swapped := append([][]byte{}, fields...)
				swapped[i] = f[i]
				all = add(all, "a field", to, assemble(header, swapped))
			}
		}
	}
	return all
}

// partsOf takes a value of the Revisions table apart.
func partsOf(t testing.TB, value []byte) (header []byte, fields [][]byte) {
	t.Helper()
	rest := value[1:]
	next := func() []byte {
		n := binary.BigEndian.Uint32(rest)
		part := rest[4 : 4+n]
		rest = rest[4+n:]
		return part
	}
	header = next()
	for len(rest) > 0 {
		fields = append(fields, next())
	}
	if len(fields) != 5 {
		t.Fatalf("a revision of fill has %d fields", len(fields))
	}
	return header, fields
}

func assemble(header []byte, fields [][]byte) []byte {
	value := []byte{1}
	for _, part := range append([][]byte{header}, fields...) {
		value = binary.BigEndian.AppendUint32(value, uint32(len(part)))
		value = append(value, part...)
	}
	return value
}

// TestAMovedValueIsRefused moves every kind of value to every place of its
// kind. What is sealed is refused with ErrIntegrity, audited and counted; what
// only helps to find records leads to none that it should not; fsck names it
// all, and everything else goes on.
func TestAMovedValueIsRefused(t *testing.T) {
	r := empty(t)
	r.fill(t)
	a, root := r.atlas(t), t.TempDir()
	before := r.sights(t, r.engine.clone(), within(t, root, -1))
	moves := r.moves(t)
	refused := map[kv.Table]int{}
	for i, m := range moves {
		if !long() && i%5 != 0 {
			continue
		}
		broken := r.engine.clone()
		broken.Put(m.table, m.key, m.value)
		s, err := r.reopen(t, broken, within(t, root, i))
		if err != nil {
			wantRefusedStore(t, &m, err)
			refused[m.table]++
			continue
		}
		j := judge{t: t, a: a, m: &m, before: before, after: r.look(s.Store)}
		if j.compare() {
			refused[m.table]++
			j.wantAudited(s)
		}
		j.wantNamed(s)
		j.wantOthersWritable(s)
		s.close(t)
	}
	t.Logf("%d moves, refused on reading: %v", len(moves), refused)
	for _, table := range []kv.Table{kv.Control, kv.Keysets, kv.Revisions, kv.DEKs, kv.Idempotency, kv.Records} {
		// Of records a few moves alone are refused: the sample may lack them.
		if refused[table] == 0 && (long() || table != kv.Records) {
			t.Errorf("no move within table %s was refused", table)
		}
	}
}

func (r *rich) sights(t testing.TB, engine kv.Engine, dir string) seen {
	t.Helper()
	s, err := r.reopen(t, engine, dir)
	need(t, err)
	defer s.close(t)
	return r.look(s.Store)
}

// wantRefusedStore judges a store that does not open any more: without its
// settings, its system keysets or what the file says of itself there is none.
func wantRefusedStore(t *testing.T, m *move, err error) {
	t.Helper()
	ofAll := m.table == kv.Meta || m.table == kv.Keysets || m.table == kv.Control && bytes.HasPrefix(m.key, []byte("settings"))
	if !ofAll {
		t.Errorf("%s: the whole store does not open: %v", m.what, err)
	}
	if m.table != kv.Meta && !errors.Is(err, store.ErrIntegrity) {
		t.Errorf("%s: the store is refused, but not for its integrity: %v", m.what, err)
	}
}

// judge compares what a store shows before and after a move.
type judge struct {
	t             *testing.T
	a             atlas
	m             *move
	before, after seen
}

func (j *judge) errorf(format string, args ...any) {
	j.t.Helper()
	j.t.Errorf("%s, key %q: %.600s", j.m.what, j.m.key, fmt.Sprintf(format, args...))
}

// compare reports whether any sight was refused.
func (j *judge) compare() (refused bool) {
	j.t.Helper()
	for s, was := range j.before {
		is := j.after[s]
		switch {
		case is == was:
		case !j.a.mayDiffer(j.m, s):
			j.errorf("%v was %s, and is %s", s, was, is)
		case is == refusal:
			refused = true
		case !j.harmless(s, is):
			j.errorf("%v was %s, and is %s instead of being refused", s, was, is)
		}
	}
	for s, is := range j.after {
		if _, known := j.before[s]; !known {
			j.errorf("%v was not there, and is %s", s, is)
		}
	}
	return refused
}

// harmless allows what is less than before, where nothing vouches for the
// value: a record that is not found, another state of the same record; and a
// client that can't be authenticated any more.
func (j *judge) harmless(s sight, is string) bool {
	absent := is == "" || is == "!not_found"
	switch j.m.table {
	case kv.Records:
		return absent || is == j.before[sight{s.place, "revision 1"}] || owns(s.place, is) ||
			s.how == "history" || s.how == "field" || s.how == "metadata" || s.how == "repeat"
	case kv.Control:
		return is == "!unauthenticated" || s.how == "read by role" && is == ""
	case kv.Index, kv.Labels, kv.Changes, kv.Tokens:
		return absent
	}
	return false
}

// wantAudited holds each refusal against the audit log and the count.
func (j *judge) wantAudited(s *opened) {
	j.t.Helper()
	var failures []audit.Entry
	for _, e := range audited(j.t, s.dir, audit.Filter{}) {
		if e.Code == store.Code(store.ErrIntegrity) {
			failures = append(failures, e)
		}
	}
	if n := s.Stats().IntegrityFailures; n != uint64(len(failures)) {
		j.errorf("%d failures were counted, and %d audited", n, len(failures))
	}
	for at, is := range j.after {
		if is == refusal && !j.entryOf(failures, at) {
			j.errorf("the refusal of %v was not audited", at)
		}
	}
}

func (j *judge) entryOf(failures []audit.Entry, at sight) bool {
	for _, e := range failures {
		named := at.integration != "" || e.Target != ""
		if named && e.Integration == at.integration && (e.Record == at.record || e.Record == "") {
			return true
		}
	}
	return false
}

// wantNamed demands that fsck finds what was moved.
func (j *judge) wantNamed(s *opened) {
	j.t.Helper()
	report, err := s.Fsck(always, store.FsckOptions{Deep: true})
	need(j.t, err)
	if len(report.Damages) == 0 && !j.unseen() {
		j.errorf("fsck finds nothing")
	}
	want := j.a.of(j.m.table, j.m.key).record
	for _, d := range report.Damages {
		if strings.Contains(d.Where, want) {
			return
		}
	}
	if len(report.Damages) > 0 {
		j.errorf("fsck does not name record %s in %v", want, report.Damages)
	}
}

// unseen allows what fsck does not promise to see.
func (j *judge) unseen() bool {
	if j.m.table == kv.Changes && bytes.Equal(j.m.value[9:], j.m.sound[9:]) {
		return true // when exactly it changed
	}
	return unseen(kv.Entry{Table: j.m.table, Key: j.m.key, Value: j.m.sound}, "move", 0) != ""
}

// wantOthersWritable writes the records that the move is not about.
func (j *judge) wantOthersWritable(s *opened) {
	j.t.Helper()
	if j.m.table == kv.Meta || j.m.table == kv.Generations {
		return
	}
	for _, name := range []string{"acme", "globex"} {
		for _, id := range []string{"rec-0", "rec-2"} {
			if j.a.mayDiffer(j.m, sight{place{name, id}, "read"}) {
				continue
			}
			ref := store.RecordRef{CollectionRef: in(name, "customers"), Record: id}
			if _, err := s.PatchRecord(always, anyone(), ref, input(`{"card":"7"}`), store.WriteOptions{}); err != nil {
				j.errorf("write %s of %s: %v", id, name, err)
			}
		}
	}
}
