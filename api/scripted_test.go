package api

import (
	"context"
	"crypto/ed25519"
	"io"
	"sync"
	"time"

	"strongroom/internal/access"
	"strongroom/internal/limits"
	"strongroom/internal/schema"
	"strongroom/internal/secret"
	"strongroom/internal/uid"
	"strongroom/rotate"
	"strongroom/store"
)

var at = time.Date(2026, 1, 2, 3, 4, 5, 678000000, time.UTC)

// scripted is a store that answers what it is told to, so that every answer of
// the API can be provoked.
type scripted struct {
	mu      sync.Mutex
	err     error // of every method
	record  store.Record
	field   store.FieldValue
	write   store.WriteResult
	put     store.PutResult
	reasons []store.Reason
	midway  error // of a stream, after it began
	panics  any
	gone    error // of whoever watches something

	rotations chan rotate.Rotation // that a watcher is told

	caller  store.Caller // what the last call was given
	ref     any
	input   store.RecordInput
	options any
	lines   []store.RecordInput
}

func newScript() *scripted {
	return &scripted{
		record: store.Record{ID: "rec-1", Revision: 3, CreatedAt: at, UpdatedAt: at, Labels: []store.Label{{Key: "owner", Value: "cust-42"}},
			Fields: []schema.Value{{Path: "email", JSON: []byte(`"ada@example.org"`)}, {Path: "a~1b", JSON: []byte(`1.50`)}},
			Flat:   true, HasFields: true, Masked: []string{"card"}, ETag: `"3-ab"`, Current: true},
		field: store.FieldValue{JSON: []byte(`"ada@example.org"`), Revision: 3, ETag: `"3-ab"`},
		write: store.WriteResult{ID: "rec-1", Revision: 3, CreatedAt: at, UpdatedAt: at, ETag: `"3-ab"`},
	}
}

// called notes a call and returns what it should fail with.
func (s *scripted) called(c store.Caller, ref, options any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.panics != nil {
		panic(s.panics)
	}
	s.caller, s.ref, s.options = c, ref, options
	return s.err
}

func (s *scripted) wrote(c store.Caller, ref any, in store.RecordInput, o any) (store.WriteResult, error) {
	s.input = in
	return s.write, s.called(c, ref, o)
}

var anIntegration = store.Integration{Name: "acme-crm", UID: uid.New(), CreatedAt: at, UpdatedAt: at, Version: 4}

func (s *scripted) PutIntegration(_ context.Context, c store.Caller, name string, _ store.IntegrationSpec, p store.Precondition) (store.Integration, store.PutResult, error) {
	return anIntegration, s.put, s.called(c, name, p)
}
func (s *scripted) GetIntegration(_ context.Context, c store.Caller, name string) (store.Integration, error) {
	return anIntegration, s.called(c, name, nil)
}
func (s *scripted) ListIntegrations(_ context.Context, c store.Caller) ([]store.Integration, error) {
	return []store.Integration{anIntegration}, s.called(c, nil, nil)
}
func (s *scripted) DeleteIntegration(_ context.Context, c store.Caller, name string, now bool) (store.Integration, error) {
	gone := anIntegration
	gone.DestroyAt = &at
	return gone, s.called(c, name, now)
}
func (s *scripted) UndeleteIntegration(_ context.Context, c store.Caller, name string) (store.Integration, error) {
	return anIntegration, s.called(c, name, nil)
}

var records7 = uint64(7)

var aCollection = store.Collection{Name: "customers", Integration: "acme-crm", UID: uid.New(), SchemaVersion: 2, Version: 5,
	CollectionSpec: store.CollectionSpec{Schema: []byte(`{"type":"object"}`), Retention: &store.Retention{Revisions: 5}},
	CreatedAt:      at, UpdatedAt: at, Records: &records7, Backfill: &store.Backfill{Fields: []string{"email"}, State: "running"}}

func (s *scripted) PutCollection(_ context.Context, c store.Caller, ref store.CollectionRef, spec store.CollectionSpec, p store.Precondition) (store.Collection, store.PutResult, error) {
	return aCollection, s.put, s.called(c, ref, p)
}
func (s *scripted) ValidateCollection(_ context.Context, c store.Caller, ref store.CollectionRef, _ store.CollectionSpec) (store.PutResult, error) {
	return s.put, s.called(c, ref, nil)
}
func (s *scripted) GetCollection(_ context.Context, c store.Caller, ref store.CollectionRef) (store.Collection, error) {
	return aCollection, s.called(c, ref, nil)
}
func (s *scripted) ListCollections(_ context.Context, c store.Caller, name string) ([]store.Collection, error) {
	return []store.Collection{aCollection}, s.called(c, name, nil)
}
func (s *scripted) DeleteCollection(_ context.Context, c store.Caller, ref store.CollectionRef) error {
	return s.called(c, ref, nil)
}

func (s *scripted) CreateRecord(_ context.Context, c store.Caller, ref store.CollectionRef, in store.RecordInput, o store.WriteOptions) (store.WriteResult, error) {
	result, err := s.wrote(c, ref, in, o)
	result.Created = true
	return result, err
}
func (s *scripted) PutRecord(_ context.Context, c store.Caller, ref store.RecordRef, in store.RecordInput, o store.WriteOptions) (store.WriteResult, error) {
	return s.wrote(c, ref, in, o)
}
func (s *scripted) PatchRecord(_ context.Context, c store.Caller, ref store.RecordRef, in store.RecordInput, o store.WriteOptions) (store.WriteResult, error) {
	return s.wrote(c, ref, in, o)
}
func (s *scripted) DeleteRecord(_ context.Context, c store.Caller, ref store.RecordRef, o store.WriteOptions) (store.WriteResult, error) {
	result, err := s.wrote(c, ref, store.RecordInput{}, o)
	result.PurgeAt = &at
	return result, err
}
func (s *scripted) RollbackRecord(_ context.Context, c store.Caller, ref store.RecordRef, revision uint64, o store.WriteOptions) (store.WriteResult, error) {
	return s.wrote(c, ref, store.RecordInput{}, o)
}
func (s *scripted) UndeleteRecord(_ context.Context, c store.Caller, ref store.RecordRef, o store.WriteOptions) (store.WriteResult, error) {
	return s.wrote(c, ref, store.RecordInput{}, o)
}
func (s *scripted) ExpungeRecord(_ context.Context, c store.Caller, ref store.RecordRef) error {
	return s.called(c, ref, nil)
}
func (s *scripted) GetRecord(_ context.Context, c store.Caller, ref store.RecordRef, o store.ReadOptions) (store.Record, error) {
	record := s.record
	record.NotModified = contains(o.IfNone, record.ETag)
	record.HasFields = !o.Metadata
	return record, s.called(c, ref, o)
}
func (s *scripted) GetField(_ context.Context, c store.Caller, ref store.RecordRef, path string, o store.ReadOptions) (store.FieldValue, error) {
	return s.field, s.called(c, path, o)
}
func (s *scripted) ListRevisions(_ context.Context, c store.Caller, ref store.RecordRef) ([]store.RevisionInfo, error) {
	return []store.RevisionInfo{{Revision: 3, CreatedAt: at, Current: true, Fields: []string{"email"}}}, s.called(c, ref, nil)
}

func (s *scripted) ListRecords(_ context.Context, c store.Caller, ref store.CollectionRef, o store.ListOptions) (store.Page, error) {
	return store.Page{Records: []store.Record{s.record, {ID: "rec-2", Damaged: true}}, Next: o.Cursor}, s.called(c, ref, o)
}
func (s *scripted) SearchRecords(_ context.Context, c store.Caller, ref store.CollectionRef, o store.SearchOptions) (store.Page, error) {
	return store.Page{Records: []store.Record{s.record}}, s.called(c, ref, o)
}
func (s *scripted) LookupRecord(_ context.Context, c store.Caller, ref store.CollectionRef, where []schema.Value, o store.ReadOptions) (store.Record, error) {
	return s.record, s.called(c, ref, where)
}
func (s *scripted) UpsertRecord(_ context.Context, c store.Caller, ref store.CollectionRef, in store.RecordInput, o store.UpsertOptions) (store.WriteResult, error) {
	result, err := s.wrote(c, ref, in, o)
	result.Created = s.put.Created
	return result, err
}

func (s *scripted) ImportRecords(_ context.Context, c store.Caller, ref store.CollectionRef, o store.ImportOptions, next func() (store.ImportLine, bool), emit func(store.ImportResult) error) error {
	if err := s.called(c, ref, o); err != nil {
		return err
	}
	for line, more := next(); more; line, more = next() {
		in, err := o.Decode(line.Raw)
		if err := emit(store.ImportResult{Line: line.Number, ID: "rec-1", Created: true, Err: err}); err != nil {
			return err
		}
		if err != nil && !o.Continue {
			return err
		}
		s.lines = append(s.lines, in)
		if s.midway != nil {
			return s.midway
		}
	}
	return nil
}
func (s *scripted) ExportRecords(_ context.Context, c store.Caller, ref store.CollectionRef, o store.ListOptions, emit func(*store.Record) error) (uint64, error) {
	if err := s.called(c, ref, o); err != nil {
		return 0, err
	}
	for range 3 {
		if err := emit(&s.record); err != nil {
			return 0, err
		}
	}
	return 3, s.midway
}

var aRole = store.Role{Name: "billing-reader", Version: 6, Raw: []byte(`{"rules":[{"integrations":["*"],"collections":["*"],"actions":["read"]}]}`), CreatedAt: at, UpdatedAt: at}

func (s *scripted) PutRole(_ context.Context, c store.Caller, name string, raw []byte, p store.Precondition) (store.Role, store.PutResult, error) {
	return aRole, s.put, s.called(c, name, p)
}
func (s *scripted) GetRole(_ context.Context, c store.Caller, name string) (store.Role, error) {
	return aRole, s.called(c, name, nil)
}
func (s *scripted) ListRoles(_ context.Context, c store.Caller) ([]store.Role, error) {
	return []store.Role{aRole}, s.called(c, nil, nil)
}
func (s *scripted) DeleteRole(_ context.Context, c store.Caller, name string) error {
	return s.called(c, name, nil)
}

var aClient = store.Client{Name: "invoicing", UID: uid.New(), Roles: []string{"billing-reader"}, Version: 7, CreatedAt: at, UpdatedAt: at}

var aLimit = store.Limit{Name: "invoicing-daily", Version: 8, CreatedAt: &at, UpdatedAt: &at, Limit: &limits.Definition{
	Per: limits.PerClient, Requests: []limits.Window{{Limit: 10, Window: limits.Span(time.Second)}}}, Use: limits.Use{Most: []limits.Count{}}}

func (s *scripted) PutLimit(_ context.Context, c store.Caller, name string, raw []byte, p store.Precondition) (store.Limit, store.PutResult, error) {
	return aLimit, s.put, s.called(c, name, p)
}
func (s *scripted) GetLimit(_ context.Context, c store.Caller, name string) (store.Limit, error) {
	return aLimit, s.called(c, name, nil)
}
func (s *scripted) ListLimits(_ context.Context, c store.Caller) ([]store.Limit, error) {
	return []store.Limit{aLimit}, s.called(c, nil, nil)
}
func (s *scripted) DeleteLimit(_ context.Context, c store.Caller, name string) error {
	return s.called(c, name, nil)
}

func (s *scripted) PutClient(_ context.Context, c store.Caller, name string, spec store.ClientSpec, p store.Precondition) (store.Client, store.PutResult, error) {
	return aClient, s.put, s.called(c, spec, p)
}
func (s *scripted) GetClient(_ context.Context, c store.Caller, name string) (store.Client, error) {
	return aClient, s.called(c, name, nil)
}
func (s *scripted) ListClients(_ context.Context, c store.Caller) ([]store.Client, error) {
	return nil, s.called(c, nil, nil)
}
func (s *scripted) DeleteClient(_ context.Context, c store.Caller, name string) error {
	return s.called(c, name, nil)
}
func (s *scripted) CreateSecret(_ context.Context, c store.Caller, client string, ttl time.Duration, o store.WriteOptions) (store.NewSecret, error) {
	return store.NewSecret{SecretInfo: store.SecretInfo{ID: "sec-1", CreatedAt: at}, Secret: secret.New("shown-once")}, s.called(c, ttl, o)
}
func (s *scripted) ListSecrets(_ context.Context, c store.Caller, client string) ([]store.SecretInfo, error) {
	return []store.SecretInfo{{ID: "sec-1", CreatedAt: at, ExpiresAt: &at}}, s.called(c, client, nil)
}
func (s *scripted) DeleteSecret(_ context.Context, c store.Caller, client, id string) error {
	return s.called(c, client+"/"+id, nil)
}

var anIssuer = store.Issuer{Name: "github", UID: uid.New(), Version: 8, CreatedAt: at, UpdatedAt: at, IssuerSpec: store.IssuerSpec{
	URL: "https://issuer.example", Audiences: []string{"strongroom"}, Rules: []store.IssuerRule{{Claims: map[string]string{"sub": "x"}, Client: "invoicing"}}}}

func (s *scripted) PutIssuer(_ context.Context, c store.Caller, name string, spec store.IssuerSpec, p store.Precondition) (store.Issuer, store.PutResult, error) {
	return anIssuer, s.put, s.called(c, spec, p)
}
func (s *scripted) GetIssuer(_ context.Context, c store.Caller, name string) (store.Issuer, error) {
	return anIssuer, s.called(c, name, nil)
}
func (s *scripted) ListIssuers(_ context.Context, c store.Caller) ([]store.Issuer, error) {
	return []store.Issuer{anIssuer}, s.called(c, nil, nil)
}
func (s *scripted) DeleteIssuer(_ context.Context, c store.Caller, name string) error {
	return s.called(c, name, nil)
}
func (s *scripted) ExplainAccess(_ context.Context, c store.Caller, q store.ExplainQuery) (store.Explanation, error) {
	return store.Explanation{Client: q.Client, Roles: []string{"billing-reader"}, Integration: q.Integration, Collection: q.Collection, Action: access.ActionRead,
		Explanation: access.Explanation{Allowed: true, AtBest: true,
			Rules: []access.RuleExplanation{{Role: "billing-reader", Actions: []access.Action{access.ActionRead}, When: "record.labels.owner == client.labels.owner", Outcome: access.OutcomeOpen}},
			Fields: []access.FieldExplanation{{Path: "email", Mask: "email", Grant: "none", AtBest: "mask:email", Reason: "No rule grants the action.",
				By: []access.Deciding{}, Write: []access.Action{}, WriteAtBest: []access.Action{}}}}}, s.called(c, q, nil)
}

func (s *scripted) Backup(_ context.Context, c store.Caller, w io.Writer, o store.BackupOptions) (store.BackupInfo, error) {
	if err := s.called(c, nil, o); err != nil {
		return store.BackupInfo{}, err
	}
	if _, err := w.Write([]byte("backup")); err != nil {
		return store.BackupInfo{}, err
	}
	return store.BackupInfo{SHA256: "ab12", Entries: 9, Sequence: 7}, s.midway
}
func (s *scripted) ConfirmBackup(_ context.Context, c store.Caller, sequence uint64, sha256 string) (store.KnownBackup, error) {
	return store.KnownBackup{Sequence: sequence, SHA256: sha256, CreatedAt: at, VerifiedAt: &at}, s.called(c, sequence, sha256)
}
func (s *scripted) Ready() []store.Reason { return s.reasons }

// The directory of the script knows one client.
func (s *scripted) VerifySecret(_ context.Context, a store.Attempt, value secret.Text) (store.VerifiedClient, error) {
	if a.Client != "invoicing" || value.Reveal() != "right" {
		return store.VerifiedClient{}, store.ErrUnauthenticated
	}
	return store.VerifiedClient{Client: "invoicing", ClientUID: aClient.UID, SecretID: "sec-1"}, s.err
}
func (s *scripted) AuthMethod(string) string { return store.AuthSecret }
func (s *scripted) Authenticate(context.Context, store.Attempt, func(store.Registration) (store.Proven, error)) (store.VerifiedClient, error) {
	return store.VerifiedClient{}, store.ErrUnauthenticated
}
func (s *scripted) AuthenticateVouched(context.Context, store.Attempt, string, func(store.Issuer) (store.Vouched, error)) (store.VerifiedClient, error) {
	return store.VerifiedClient{}, store.ErrUnauthenticated
}
func (s *scripted) Refuse(store.TokenRef, store.Attempt, string) error {
	return store.ErrUnauthenticated
}
func (s *scripted) RevokeToken(context.Context, store.VerifiedClient, store.Attempt, store.IssuedToken) error {
	return s.err
}
func (s *scripted) InspectToken(context.Context, store.VerifiedClient, store.Attempt, store.IssuedToken) (bool, error) {
	return s.err == nil, s.err
}
func (s *scripted) Principal(t *store.TokenRef) (*access.Principal, error) {
	return &access.Principal{Client: t.Client, ClientUID: t.ClientUID, SecretID: t.SecretID, TokenID: t.TokenID}, nil
}
func (s *scripted) SigningKeys(context.Context) ([]store.SigningKey, error) {
	return []store.SigningKey{{ID: "k1", Seed: make([]byte, ed25519.SeedSize), CreatedAt: at}}, s.err
}
