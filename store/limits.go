package store

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"strongroom/internal/access"
	"strongroom/internal/audit"
	"strongroom/internal/limits"
	"strongroom/store/kv"
)

// Counting counts by the limits that are stored here; limits.Limiter is one. Its
// methods are safe for concurrent use.
type Counting interface {
	Exposure
	// Define puts definitions in force, in place of those before.
	Define(map[string]*limits.Definition)
	// Use tells what a limit has counted.
	Use(name string) limits.Use
	// Save returns the counts that outlast a restart, and Restore takes them back.
	Save() (counts map[string]limits.Saved, secret []byte)
	Restore(counts map[string]limits.Saved, secret []byte)
}

// Limit is a limit as it is in force: stored, or built in when its Version is 0.
type Limit struct {
	Name      string             `json:"name"`
	Builtin   bool               `json:"builtin"` // nobody has stored one of this name
	Version   uint64             `json:"version"`
	CreatedAt *time.Time         `json:"created_at,omitempty"`
	UpdatedAt *time.Time         `json:"updated_at,omitempty"`
	Limit     *limits.Definition `json:"-"`
	Use       limits.Use         `json:"-"`
}

// limit is a stored definition in the catalog.
type limit struct {
	doc     limitDoc
	version uint64
	def     *limits.Definition
}

type limitDoc struct {
	Raw       json.RawMessage `json:"raw"`
	CreatedAt time.Time       `json:"created_at"`
	UpdatedAt time.Time       `json:"updated_at"`
}

// limitCountsDoc is a checkpoint of what was counted.
type limitCountsDoc struct {
	Saved  limits.Saved `json:"saved"`
	Secret []byte       `json:"secret"`
}

// PutLimit saves a limit. It is in force for the next request.
func (s *Store) PutLimit(ctx context.Context, c Caller, name string, raw []byte, p Precondition) (out Limit, res PutResult, err error) {
	op := s.start(c, "put", target{control: kindLimit + "/" + name})
	defer func() { err = op.end(err) }()
	if err := authoriseControl(c, access.ManageRoles); err != nil {
		return out, res, err
	}
	def, err := checkLimit(name, raw)
	if err != nil {
		return out, res, err
	}
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	cat := s.catalog.Load()
	next, ready, err := s.limitChange(cat, c, name, raw, def, p)
	if err != nil {
		return out, res, err
	}
	if s.waits(c, cat, func() bool { return limits.Loosens(cat.limits[name].definition(), def) }) {
		return out, res, s.hold(ctx, op, changeDoc{Kind: changePutLimit, Name: name, Document: raw, Base: next.version - 1}, controlChange{})
	}
	if err := s.change(ctx, op, ready); err != nil {
		return out, res, err
	}
	return s.describeLimit(name, next), PutResult{Created: next.version == 1}, nil
}

// limitChange makes ready what saves a limit.
func (s *Store) limitChange(cat *catalog, c Caller, name string, raw []byte, def *limits.Definition, p Precondition) (*limit, controlChange, error) {
	if err := s.ownLimit(cat, c, cat.limits[name].definition(), def); err != nil {
		return nil, controlChange{}, err
	}
	next, err := s.nextLimit(cat, name, raw, def)
	if err != nil {
		return nil, controlChange{}, err
	}
	return next, controlChange{
		writes:  []controlWrite{{kind: kindLimit, id: name, replaces: next.version - 1, doc: next.doc}},
		publish: func(cat *catalog) { cat.limits[name] = next; s.enforce(cat) },
	}, p.check(next.version - 1)
}

func (s *Store) nextLimit(cat *catalog, name string, raw []byte, def *limits.Definition) (*limit, error) {
	old := cat.limits[name]
	switch {
	case old == nil && cat.damage(kindLimit, name) != nil:
		return nil, fmt.Errorf("%w: limit %s; delete it and put it again", ErrIntegrity, name)
	case old == nil && len(cat.limits) >= limits.MaxLimits:
		return nil, fmt.Errorf("%w: a store has at most %d limits; delete one first", ErrConflict, limits.MaxLimits)
	}
	now := s.now().UTC()
	next := &limit{doc: limitDoc{Raw: raw, CreatedAt: now, UpdatedAt: now}, version: 1, def: def}
	if old != nil {
		next.version, next.doc.CreatedAt = old.version+1, old.doc.CreatedAt
	}
	return next, nil
}

// definition returns what a limit says, nil of one that is not there.
func (l *limit) definition() *limits.Definition {
	if l == nil {
		return nil
	}
	return l.def
}

func checkLimit(name string, raw []byte) (*limits.Definition, error) {
	if err := checkName("limit", name); err != nil {
		return nil, err
	}
	def, err := limits.Parse(raw)
	return def, asDefinition(err)
}

// enforce puts the limits of a catalog in force.
func (s *Store) enforce(cat *catalog) {
	if s.counting == nil {
		return
	}
	defs := make(map[string]*limits.Definition, len(cat.limits))
	for name, l := range cat.limits {
		defs[name] = l.def
	}
	s.counting.Define(defs)
}

// describeLimit describes a limit, the built-in one when l is nil.
func (s *Store) describeLimit(name string, l *limit) (out Limit) {
	out = Limit{Name: name, Builtin: l == nil, Limit: limits.Default(name), Use: limits.Use{Most: []limits.Count{}}}
	if l != nil {
		out.Limit, out.Version, out.CreatedAt, out.UpdatedAt = l.def, l.version, &l.doc.CreatedAt, &l.doc.UpdatedAt
	}
	if s.counting != nil {
		out.Use = s.counting.Use(name)
	}
	return out
}

func mayReadLimits(c Caller) bool {
	return canAny(c, access.ManageRoles, access.OperateKeys, access.ReadAudit)
}

// GetLimit returns a limit, stored or built in, and what it has counted.
func (s *Store) GetLimit(ctx context.Context, c Caller, name string) (out Limit, err error) {
	op := s.start(c, "describe", target{control: kindLimit + "/" + name})
	defer func() { err = op.end(err) }()
	if !mayReadLimits(c) {
		return out, ErrForbidden
	}
	cat := s.catalog.Load()
	if cat.damage(kindLimit, name) != nil {
		return out, fmt.Errorf("%w: limit %s", ErrIntegrity, name)
	}
	l := cat.limits[name]
	if l == nil && limits.Default(name) == nil {
		return out, ErrNotFound
	}
	return s.describeLimit(name, l), nil
}

// ListLimits returns the limits in force, stored and built in, by name, with
// what they have counted.
func (s *Store) ListLimits(ctx context.Context, c Caller) (out []Limit, err error) {
	op := s.start(c, "describe", target{control: kindLimit})
	defer func() { err = op.end(err) }()
	if !mayReadLimits(c) {
		return nil, ErrForbidden
	}
	cat := s.catalog.Load()
	all := maps.Clone(cat.limits)
	for _, name := range limits.DefaultNames() {
		if _, stored := all[name]; !stored {
			all[name] = nil
		}
	}
	for _, name := range sortedNames(all) {
		out = append(out, s.describeLimit(name, all[name]))
	}
	op.entry.Count = uint64(len(out))
	return out, nil
}

// DeleteLimit removes a stored limit, a damaged one too. A built-in one of its
// name is in force again.
func (s *Store) DeleteLimit(ctx context.Context, c Caller, name string) (err error) {
	op := s.start(c, "delete", target{control: kindLimit + "/" + name})
	defer func() { err = op.end(err) }()
	if err := authoriseControl(c, access.ManageRoles); err != nil {
		return err
	}
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	cat := s.catalog.Load()
	ready, err := s.limitRemoval(ctx, cat, c, name, Precondition{})
	if err != nil {
		return err
	}
	// What a damaged one bounded nobody knows.
	if s.waits(c, cat, func() bool { return cat.limits[name] == nil || limits.Loosens(cat.limits[name].def, nil) }) {
		return s.hold(ctx, op, changeDoc{Kind: changeDeleteLimit, Name: name, Base: ready.writes[0].replaces}, controlChange{})
	}
	return s.change(ctx, op, ready)
}

// limitRemoval makes ready what removes a limit.
func (s *Store) limitRemoval(ctx context.Context, cat *catalog, c Caller, name string, p Precondition) (controlChange, error) {
	if err := s.ownLimit(cat, c, cat.limits[name].definition(), nil); err != nil {
		return controlChange{}, err
	}
	version, err := s.storedVersion(ctx, kindLimit, name)
	if err != nil {
		return controlChange{}, err
	}
	return controlChange{
		writes: []controlWrite{{kind: kindLimit, id: name, replaces: version}},
		publish: func(cat *catalog) {
			delete(cat.limits, name)
			delete(cat.damaged, kindLimit+"\x00"+name)
			s.enforce(cat)
		},
	}, p.check(version)
}

// NoteGuard audits that a client at an address, or an address, was blocked
// after failed authentications, or is no longer.
func (s *Store) NoteGuard(e limits.GuardEvent) {
	entry := audit.Entry{Phase: audit.Event, Time: s.now(), Event: "authentication_unblocked", Client: e.Client, Address: e.Address}
	if e.Blocked {
		entry.Event, entry.Detail = "authentication_blocked", "until "+e.Until.UTC().Format(time.RFC3339)
	}
	if err := s.audit.Write(&entry); err != nil {
		s.logger.Error("the audit log cannot be written", "error", err)
	}
}

// limits reads the definitions and, once at the start, the counts.
func (l *loader) limits(tx kv.ReadTx) {
	openControl(l.system, tx, kindLimit, func(name string, v uint64, doc limitDoc) {
		def, err := limits.Parse(doc.Raw)
		if err != nil {
			l.damaged(kindLimit)(name, err)
			return
		}
		l.catalog.limits[name] = &limit{doc: doc, version: v, def: def}
	}, l.damaged(kindLimit))
	if l.s.counting == nil || l.s.catalog.Load() != nil {
		return
	}
	var secret []byte
	saved := map[string]limits.Saved{}
	openControl(l.system, tx, kindLimitCounts, func(name string, _ uint64, doc limitCountsDoc) {
		saved[name], secret = doc.Saved, doc.Secret
	}, l.damaged(kindLimitCounts))
	l.s.enforce(l.catalog)
	l.s.counting.Restore(saved, secret)
}

// keptCounts tells what of a limit's counts lies on the disk.
type keptCounts struct {
	sum     [sha256.Size]byte
	version uint64
}

// saveCountsEvery is how old the counts of limits are at most after a crash.
const saveCountsEvery = time.Minute

// sweepCounts saves what the limits have counted, now and then.
func (s *Store) sweepCounts(ctx context.Context) error {
	if s.counting == nil || s.now().UnixNano()-s.countsSaved.Load() < int64(saveCountsEvery) {
		return nil
	}
	return s.SaveCounts(ctx)
}

// SaveCounts writes a checkpoint of what the limits have counted within long
// windows, so that a restart is no reset. It changes nothing that anybody is
// answered, so it is not audited.
func (s *Store) SaveCounts(ctx context.Context) (err error) {
	if s.counting == nil {
		return nil
	}
	s.controlMu.Lock()
	defer s.controlMu.Unlock()
	s.countsSaved.Store(s.now().UnixNano())
	saved, secret := s.counting.Save()
	stored, err := s.storedVersions(ctx, kindLimitCounts)
	if err != nil {
		return err
	}
	var writes []controlWrite
	kept := map[string]keptCounts{}
	for name, counts := range saved {
		text, err := json.Marshal(counts)
		if err != nil {
			return fmt.Errorf("store: encode what %s has counted: %w", name, err)
		}
		as := keptCounts{sha256.Sum256(text), stored[name]}
		if s.countsKept[name] != as || as.version == 0 {
			writes = append(writes, controlWrite{kind: kindLimitCounts, id: name, replaces: as.version, doc: limitCountsDoc{counts, secret}})
			as.version++
		}
		kept[name] = as
		delete(stored, name)
	}
	for name, version := range stored {
		writes = append(writes, controlWrite{kind: kindLimitCounts, id: name, replaces: version})
	}
	if len(writes) == 0 {
		return nil
	}
	defer func() {
		if err == nil {
			s.countsKept = kept
		}
	}()
	if err := s.sealControl(ctx, writes); err != nil {
		return err
	}
	return engineError(s.updateSealed(ctx, kv.Bulk, writes, nil, func(tx kv.Tx) error { return applyControl(tx, writes) }))
}

// storedVersions returns the versions of the values of a kind on the disk.
func (s *Store) storedVersions(ctx context.Context, kind string) (map[string]uint64, error) {
	var versions map[string]uint64
	prefix := controlKey(kind, "")
	err := s.engine.View(ctx, func(tx kv.ReadTx) error {
		versions = map[string]uint64{}
		tx.Scan(kv.Control, prefix, after(prefix), func(key, value []byte) bool {
			versions[string(key[len(prefix):])] = version(value)
			return true
		})
		return nil
	})
	return versions, engineError(err)
}
